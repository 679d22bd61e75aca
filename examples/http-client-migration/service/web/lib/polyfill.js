// Old browsers: load a replacement once. Everything here is about having a fetch at all.
export async function ensureFetch() {
  if (!("fetch" in window) || typeof window.fetch !== "function") {
    window.fetch = (await import("./slow-fetch.js")).default;
  }
  return window.fetch("/ping");
}
