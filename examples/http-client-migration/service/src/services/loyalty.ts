declare global {
  interface Window {
    loyalty?: { points: number };
  }
}

type Fetcher = typeof fetch;

export async function points(customer: string, fetcher?: Fetcher): Promise<number> {
  const response = await (fetcher ?? fetch)(`http://loyalty.internal/${customer}`);
  return Number(await response.text());
}

export async function award(customer: string, count: number): Promise<void> {
  void (await fetch(`http://loyalty.internal/${customer}/points`, { method: "POST", body: String(count) }));
}
