import type { Readable } from "node:stream";

const api = "https://mail.example/api/3";

export async function sendMail(to: string[], subject: string, html: string) {
  return fetch(api + "/send", { method: "POST", body: JSON.stringify({ to, subject, html }) });
}

// Attachments go out as they come in: the body can be sent only once.
export async function upload(name: string, content: Readable) {
  return fetch(`${api}/attachments/${name}`, {
    method: "PUT",
    body: content as unknown as ReadableStream,
    duplex: "half",
  } as RequestInit);
}

export async function bounced(): Promise<string[]> {
  const list = await fetch(api + "/bounces").then(
    (response) => response.json(),
    () => ({ addresses: [] }),
  );
  return list.addresses;
}
