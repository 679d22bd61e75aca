import { retry } from "../lib/retry";

export async function openReturn(order: string) {
  const response = await retry(() => fetch(`http://returns.internal/orders/${order}`, { method: "POST" }));
  return response.json();
}

export async function returnLabel(order: string): Promise<string> {
  {
    // In this block fetch reads from disk.
    const fetch = async (path: string) => (await import("node:fs/promises")).readFile(path, "utf8");
    const local = await fetch(`labels/${order}.txt`).catch(() => null);
    if (local) return local;
  }
  return (await fetch(`http://labels.internal/returns/${order}`)).text();
}
