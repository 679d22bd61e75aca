import type { Request, Response } from "../server-types";

const inventory = "http://inventory.internal";

// `Request` and `Response` here are the web framework's.
export async function createOrder(request: Request, response: Response) {
  const { sku, count } = request.body;
  const available = await fetch(`${inventory}/stock/${sku}`);
  if (!available.ok) return response.status(502).send("inventory does not answer");
  if ((await available.json()).count < count) return response.status(409).send("sold out");
  const created = await fetch("http://orders.internal/orders", { method: "POST", body: JSON.stringify(request.body) });
  return response.status(created.status).send(await created.text());
}

export async function showOrder(request: Request, response: Response) {
  const upstream = await fetch("http://orders.internal/orders/" + request.params.id);
  response.status(upstream.status).send(await upstream.text());
}
