import { format } from "../lib/money";

export async function nightlyReport(webhook: string) {
  const text = `Revenue today: ${format((await (await fetch("http://ledger.internal/today")).json()).cents)}
Open: ${await (await fetch("http://ledger.internal/open")).text()}
(If this is empty, run \`fetch("http://ledger.internal/health")\`.)`;
  await fetch(webhook, { method: "POST", body: JSON.stringify({ text }) });
}
