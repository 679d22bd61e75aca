import { add } from "../lib/money";

export class Pricing {
  constructor(private readonly url = "http://pricing.internal") {}

  async quote(items: { sku: string; count: number }[]): Promise<number> {
    const prices = await Promise.all(
      items.map(async ({ sku, count }) => {
        const { cents } = await (await fetch(`${this.url}/prices/${sku}`)).json();
        return cents * count;
      }),
    );
    return add(...prices);
  }

  get reachable(): Promise<boolean> {
    return fetch(this.url, { method: "HEAD" }).then(
      () => true,
      () => false,
    );
  }
}
