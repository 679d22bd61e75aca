const { fetch } = globalThis;

const address = process.env.VAULT_ADDR ?? "http://127.0.0.1:8200";

export async function secret(path: string): Promise<string> {
  const response = await fetch(`${address}/v1/secret/data/${path}`, {
    headers: { "X-Vault-Token": process.env.VAULT_TOKEN ?? "" },
  });
  const { data } = await response.json();
  return data.data.value;
}

export async function renew() {
  await fetch(`${address}/v1/auth/token/renew-self`, { method: "POST" });
}
