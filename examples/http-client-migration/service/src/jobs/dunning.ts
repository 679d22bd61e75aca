import { rateOf } from "../clients/tax";

type Reminder = { invoice: string; level: 1 | 2 | 3 };

export async function remind(reminders: Reminder[], post = (url: string, body: string) => fetch(url, { method: "POST", body })) {
  for (const { invoice, level } of reminders) {
    await post(`http://letters.internal/reminders/${level}`, invoice);
  }
}

export async function interest(country: string) {
  const base = await fetch("https://centralbank.example/base-rate");
  return Number(await base.text()) + (await rateOf(country, "interest"));
}
