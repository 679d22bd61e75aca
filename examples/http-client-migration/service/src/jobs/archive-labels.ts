import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export async function archiveLabel(id: string): Promise<void> {
  const { body, ok } = await fetch(`http://labels.internal/${id}.zpl`);
  if (!ok || !body) return;
  await pipeline(Readable.fromWeb(body as never), createWriteStream(`labels/${id}.zpl`));
}

export async function* labels(ids: Iterable<string>) {
  for (const id of ids) {
    yield await fetch(`http://labels.internal/${id}.zpl`);
  }
}
