import { endpoints } from "../config/endpoints";

export interface Offer {
  carrier: string;
  cents: number;
}

const offer = (carrier: string, weight: number) =>
  fetch(`${endpoints.carriers}/${carrier}/offers?weight=${weight}`).then((r) => r.json() as Promise<Offer>);

export async function offers(weight: number, carriers: string[]): Promise<Offer[]> {
  const settled = await Promise.allSettled(carriers.map((carrier) => offer(carrier, weight)));
  return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

export async function cheapest(weight: number) {
  const [ground, air] = await Promise.all([
    fetch(`${endpoints.carriers}/ground/offers?weight=${weight}`),
    fetch(`${endpoints.carriers}/air/offers?weight=${weight}`),
  ]);
  const both: Offer[] = [await ground.json(), await air.json()];
  return both.toSorted((left, right) => left.cents - right.cents)[0];
}
