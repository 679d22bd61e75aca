import type * as web from "../server-types";

const allowed = new Set(["tariffs", "holidays"]);

export async function proxy(request: web.Request, response: web.Response) {
  const name = request.params.name ?? "";
  if (!allowed.has(name)) return response.status(404).send("no such source");
  const target = `http://${name}.internal${request.url}`;
  const upstream = await fetch(target, { ...forwarded(request), redirect: "manual" });
  return response.status(upstream.status).send(await upstream.text());
}

export const forward = (...args: Parameters<typeof fetch>) => fetch(...args);

function forwarded(request: web.Request): RequestInit {
  return { headers: { "x-request-id": request.headers["x-request-id"] ?? "" } };
}
