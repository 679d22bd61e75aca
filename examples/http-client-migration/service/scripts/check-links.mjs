#!/usr/bin/env node
import { readFile } from "node:fs/promises";

const text = await readFile("README.md", "utf8");
const links = [...text.matchAll(/https?:\/\/[^\s)"'`]+/g)].map(([link]) => link);
const isFetch = /\bfetch\(["'`](.*?)["'`]\)/;

const results = await Promise.allSettled(links.map(async (link) => [link, (await fetch(link, { method: "HEAD" })).status]));
for (const result of results) {
  if (result.status === "rejected") console.error("fetch failed:", result.reason?.cause ?? result.reason);
  else if (result.value[1] >= 400) console.error(...result.value, isFetch.test(text));
}
