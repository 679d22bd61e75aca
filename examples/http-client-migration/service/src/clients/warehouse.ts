import { httpClient } from "../lib/http-client";

const warehouse = "https://warehouse.example";

// Half migrated already, by hand.
export async function stock(sku: string): Promise<number> {
  const response = await httpClient.request(`${warehouse}/stock/${sku}`);
  return (await response.json()).count;
}

export async function reserve(sku: string, count: number) {
  const response = await fetch(`${warehouse}/stock/${sku}/reservations`, {
    method: "POST",
    body: JSON.stringify({ count }),
  });
  return response.status === 201;
}
