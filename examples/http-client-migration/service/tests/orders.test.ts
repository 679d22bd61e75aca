import { afterEach, expect, test, vi } from "vitest";
import { createOrder } from "../src/routes/orders";

afterEach(() => vi.unstubAllGlobals());

test("answers 502 when the inventory is away", async () => {
  vi.stubGlobal("fetch", async () => new Response(null, { status: 500 }));
  const sent: unknown[] = [];
  const response = { status: () => response, send: (body: unknown) => void sent.push(body) };
  await createOrder({ body: { sku: "x", count: 1 }, params: {}, headers: {}, url: "/" }, response as never);
  expect(sent).toEqual(["inventory does not answer"]);
  expect(fetch).toHaveBeenCalledTimes(1);
});
