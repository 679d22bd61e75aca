import { createHmac } from "node:crypto";

/** Signs and sends. The signature covers the final headers, so a Request object is built first. */
export async function sendSigned(url: string, body: string, secret: string) {
  const request = new Request(url, { method: "POST", body });
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  request.headers.set("X-Signature", `sha256=${signature}`);
  return fetch(request);
}

export async function sendOnce(url: string, body: string) {
  return await fetch(new Request(url, { method: "PUT", body, redirect: "error" }));
}

export async function ping(url: string) {
  const { status } = await fetch(url, { method: "HEAD" });
  return status < 500;
}
