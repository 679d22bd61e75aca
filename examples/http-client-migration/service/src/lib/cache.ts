import { LruCache } from "./lru";

const entries = new LruCache<string, { body: string; etag: string | null }>(500);

/** A conditional GET: the body comes from memory when the server says it is unchanged. */
export async function cached(url: string): Promise<string> {
  const known = entries.get(url);
  const response = await fetch(url, {
    headers: known?.etag ? { "If-None-Match": known.etag } : {},
  });
  if (response.status === 304 && known) return known.body;
  const body = await response.text();
  entries.set(url, { body, etag: response.headers.get("etag") });
  return body;
}
