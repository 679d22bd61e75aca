import { useState } from "react";

export function useMutation<Body, Answer>(url: string, { method = "POST", send = fetch } = {}) {
  const [busy, setBusy] = useState(false);
  const mutate = async (body: Body): Promise<Answer> => {
    setBusy(true);
    try {
      const response = await send(url, { method, body: JSON.stringify(body) });
      return (await response.json()) as Answer;
    } finally {
      setBusy(false);
    }
  };
  return [mutate, busy] as const;
}
