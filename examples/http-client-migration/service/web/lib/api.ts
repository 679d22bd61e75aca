const prefix = "/api";

export const api = {
  get: <T>(path: string) => fetch(prefix + path).then((r) => r.json() as Promise<T>),
  post: async <T>(path: string, body: unknown): Promise<T> =>
    (await fetch(prefix + path, { method: "POST", body: JSON.stringify(body) })).json(),
  put(path: string, body: BodyInit) {
    return fetch(prefix + path, { method: "PUT", body });
  },
  async delete(path: string) {
    const { status } = await fetch(prefix + path, { method: "DELETE" });
    return status;
  },
};
