interface Verdict<T extends string = string> {
  outcome: T;
  score: number;
}

async function ask<T extends string>(path: string, body: unknown): Promise<Verdict<T>> {
  const response = (await fetch(`https://fraud.example/${path}`, {
    method: "POST",
    body: JSON.stringify(body),
  })) as Response & { json(): Promise<Verdict<T>> };
  return response.json();
}

export const score = (order: object) => ask<"accept" | "review" | "reject">("score", order);

export async function legacyScore(order: object) {
  const result = (fetch as any)("https://fraud.example/v0", { body: JSON.stringify(order), timeout: 500 });
  return <Verdict>await (await result).json();
}
