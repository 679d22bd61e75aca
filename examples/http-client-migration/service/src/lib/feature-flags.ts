import { LruCache } from "./lru";

type Flags = Record<string, boolean>;

const perTenant = new LruCache<string, Promise<Flags>>(100);

export function flags(tenant: string): Promise<Flags> {
  // cache.fetch() is the cache's own method; the inner one is the network.
  return perTenant.fetch(tenant, () =>
    fetch(`${process.env.FLAGS_URL}/v1/tenants/${encodeURIComponent(tenant)}/flags`)
      .then((response) => response.json() as Promise<Flags>)
      .catch(() => ({}) as Flags),
  );
}

export async function enabled(tenant: string, flag: string) {
  return (await flags(tenant))[flag] ?? false;
}
