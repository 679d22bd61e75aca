#!/usr/bin/env node
const { writeFileSync } = require("node:fs");

const repository = process.env.REPOSITORY;

(async () => {
  const response = await fetch(`https://forge.example/api/${repository}/changes`);
  const changes = await response.json();
  writeFileSync("NOTES.md", changes.map((change) => `- ${change.title}`).join("\n"));
})();
