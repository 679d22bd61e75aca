module.exports = { base: "https://static.example/", note: "loaded with fetch, see callbacks.cjs" };
