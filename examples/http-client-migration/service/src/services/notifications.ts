import { createCrm } from "../clients/crm";
import { sendSms } from "../clients/sms";

const crm = createCrm({ fetch, key: process.env.CRM_KEY ?? "" });

export async function notify(customer: string, text: string) {
  const contact = await (await crm.contact(customer)).json();
  if (contact.phone) return sendSms(contact.phone, text);
  const response = await fetch("http://push.internal/messages", {
    method: "POST",
    body: JSON.stringify({ to: customer, text }),
  });
  return response.headers.get("x-message-id") ?? undefined;
}
