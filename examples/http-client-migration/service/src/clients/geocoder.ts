type Point = { lat: number; lon: number };

const base = "https://geo.example/search";

export async function locate(address: string): Promise<Point | null> {
  const url = new URL(base);
  url.searchParams.set("q", address);
  url.searchParams.set("limit", "1");
  const hits = (await (await fetch(url)).json()) as Point[];
  return hits[0] ?? null;
}

export async function locateAll(addresses: readonly string[]) {
  const points = new Map<string, Point>();
  for await (const [address, response] of addresses.map(
    async (address) => [address, await fetch(`${base}?q=${encodeURIComponent(address)}`)] as const,
  )) {
    points.set(address, await response.json());
  }
  return points;
}
