import { createHmac } from "node:crypto";
import type { Subscriber } from "../services/subscribers";

export async function deliver(subscriber: Subscriber, event: { type: string; payload: unknown }) {
  const { url, secret } = subscriber;
  const body = JSON.stringify(event);
  const digest = createHmac("sha256", secret).update(body).digest("base64");
  const { ok, status } = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", "x-digest": digest },
    body,
    redirect: "manual",
  });
  return ok || status === 410 ? "done" : "again";
}

export const deliverAll = (subscribers: Subscriber[], event: { type: string; payload: unknown }) =>
  Promise.all(subscribers.map((subscriber) => deliver(subscriber, event)));
