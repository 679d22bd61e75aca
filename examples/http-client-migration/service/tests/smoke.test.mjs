import test from "node:test";
import { base } from "./base.mjs";

for (const path of ["/", "/health", "/api/orders?limit=1"]) {
  test(`GET ${path}`, async () => {
    const response = await globalThis["fetch"](base + path);
    if (response.status !== 200) throw new Error(`fetch(${path}): ${response.status}`);
  });
}
