/* eslint-disable no-await-in-loop */
const bound = fetch.bind(globalThis);

async function time(run) {
  const started = performance.now();
  await run();
  return performance.now() - started;
}

const direct = await time(() => fetch("http://localhost:8080/health"));
const viaBound = await time(() => bound("http://localhost:8080/health"));
console.log({ direct, viaBound });
