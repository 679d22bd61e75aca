import { appendFile } from "node:fs/promises";

export const httpClient = {
  async append(entry: object) {
    await appendFile("audit.ndjson", `${JSON.stringify(entry)}\n`);
  },
};
