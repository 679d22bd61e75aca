// @ts-check
const f = fetch;

/** @param {string[]} carts */
export async function expireCarts(carts) {
  for (const cart of carts) {
    const response = await f(`http://carts.internal/${cart}`, { method: "DELETE" });
    if (response.status === 404) continue;
    await f("http://events.internal/cart-expired", { method: "POST", body: cart });
  }
}
