#!/usr/bin/env node
// Fills a development database: node scripts/seed.mjs http://localhost:8080

const [base = "http://localhost:8080"] = process.argv.slice(2);

const customers = await (await fetch(`${base}/customers`)).json();
if (customers.length > 0) {
  console.log("nothing to do; fetch() found", customers.length);
  process.exit(0);
}

for (const name of ["anna", "ben", "chris"]) {
  await fetch(`${base}/customers`, { method: "POST", body: JSON.stringify({ name }) });
}
