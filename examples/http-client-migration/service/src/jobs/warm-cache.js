const pages = ["/", "/prices", "/track"];

export const warmCache = (origin) => Promise.all(pages.map((page) => origin + page).map(fetch));

export async function warmOne(origin, page) {
  const started = Date.now();
  await fetch(origin + page);
  return Date.now() - started;
}
