import test from "node:test";
import { base } from "./base.mjs";

for (const path of ["/", "/health", "/api/orders?limit=1"]) {
  test(`GET ${path}`, async () => {
    const response = await globalThis["fetch"](base + path);
    if (response.status !== 200) throw new Error(`fetch(${path}): ${response.status}`);
  });
}

test("the page can reach its API", async ({ page }) => {
  // This function runs in the browser, where nothing of this file exists.
  const status = await page.evaluate(async () => (await fetch("/api/session")).status);
  if (status !== 200) throw new Error(`fetch in the page: ${status}`);
});
