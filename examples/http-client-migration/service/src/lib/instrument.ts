import { log } from "./log";

const original = globalThis.fetch;

/** Logs slow requests of libraries that we do not control. */
export function instrumentFetch(limit = 2_000) {
  globalThis.fetch = async (input, init) => {
    const started = Date.now();
    try {
      return await original(input, init);
    } finally {
      const took = Date.now() - started;
      if (took > limit) log("warn", "slow fetch", { took });
    }
  };
}

export function restoreFetch() {
  globalThis.fetch = original;
}
