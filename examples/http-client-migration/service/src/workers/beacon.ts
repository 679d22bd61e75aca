// What a page reports when it is closed must outlive it.
export function report(event: string) {
  return fetch("/beacon", { method: "POST", body: event, keepalive: true });
}

export async function session() {
  return (await fetch("/session")).json();
}
