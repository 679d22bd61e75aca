const gateway = process.env.SMS_GATEWAY as string;

export async function sendSms(to: string, text: string): Promise<string | undefined> {
  const body = new URLSearchParams({ to, text, from: "Parcels" });
  const answer = await globalThis.fetch(`${gateway}/messages`, { method: "POST", body });
  return answer.ok ? ((await answer.json())?.id as string) : undefined;
}

export const balance = async () =>
  Number(await (await globalThis.fetch(gateway + "/balance")).text());
