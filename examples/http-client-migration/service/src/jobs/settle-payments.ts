import { log } from "../lib/log";

const bank = "https://bank.example/settlements";

export async function settlePayments(day: string) {
  let page: string | null = `${bank}?day=${day}`;
  let settled = 0;
  while (page) {
    const response: Response = await fetch(page);
    const { items, next } = await response.json();
    settled += items.length;
    page = next ?? null;
  }
  log("info", `settled ${settled}`, { source: `fetched from ${bank}` });
  return settled;
}
