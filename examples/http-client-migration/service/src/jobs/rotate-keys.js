const send = process.env.DRY_RUN ? async () => new Response("{}") : fetch;

export async function rotateKeys(services) {
  for (const service of services) {
    const response = await send(`http://${service}.internal/keys/rotate`, { method: "POST" });
    if (!response.ok) throw new Error(`${service}: ${response.status}`);
  }
}
