import type * as web from "../server-types";
import { render } from "../clients/invoices-pdf";

async function fetchInvoice(id: string) {
  const response = await fetch(`http://billing.internal/invoices/${id}`);
  if (response.status === 404) return undefined;
  return response.json();
}

export async function invoice(request: web.Request, response: web.Response) {
  const found = await fetchInvoice(request.params.id);
  if (!found) return response.status(404).send("no such invoice");
  response.status(200).send(await render(found));
}

export const invoicesOf = async (customer: string): Promise<unknown[]> =>
  !customer ? [] : (await fetch(`http://billing.internal/invoices?customer=${customer}`)).json() as Promise<unknown[]>;
