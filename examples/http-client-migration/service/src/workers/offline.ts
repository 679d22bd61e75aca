/// <reference lib="webworker" />
const worker = self as unknown as ServiceWorkerGlobalScope;

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET") return;
  event.respondWith(
    caches.match(event.request).then((hit) => hit ?? fetch(event.request)),
  );
});

worker.addEventListener("install", (event) => {
  const shell = ["/", "/app.js"].map((path) => fetch(path, { cache: "reload" }));
  event.waitUntil(Promise.all(shell));
});

export {};
