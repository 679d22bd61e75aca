import fetch from "node-fetch";

// An import called fetch: node-fetch, because of its agent option. Left as it is.
export async function bookPickup(address: string, at: Date) {
  const response = await fetch("https://pickup.example/book", {
    method: "POST",
    body: JSON.stringify({ address, at }),
  });
  return (await response.json()) as { reference: string };
}
