import { cached } from "../lib/cache";

export const countries = () => cached("https://data.example/countries.json").then(JSON.parse);

export async function validate(address: Record<string, string>): Promise<string[]> {
  if (typeof fetch !== "function") {
    throw new Error("fetch is missing: Node.js 18 or later is needed");
  }
  const response = await fetch?.("https://addresses.example/validate", {
    method: "POST",
    body: JSON.stringify(address),
  });
  return (await response?.json())?.problems ?? [];
}

export async function suggest(prefix: string) {
  const response = await fetch("https://addresses.example/suggest?q=" + encodeURIComponent(prefix));
  return response.ok ? await response.json() : [];
}
