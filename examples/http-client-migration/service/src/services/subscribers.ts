export interface Subscriber {
  url: string;
  secret: string;
}

let known: Subscriber[] | undefined;

export async function subscribers(): Promise<Subscriber[]> {
  known ??= await (await fetch("http://registry.internal/subscribers")).json();
  return known as Subscriber[];
}

export const forget = () => void (known = undefined);
