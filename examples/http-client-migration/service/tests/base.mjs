export const base = process.env.BASE_URL ?? "http://localhost:8080"; // fetch(base) must work
