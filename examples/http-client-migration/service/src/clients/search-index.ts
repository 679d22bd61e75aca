export class SearchIndex {
  static readonly host = "https://search.example";
  #pending: Promise<unknown>[] = [];

  /** The index's own fetch: documents from memory. */
  fetch(ids: string[]) {
    return ids.map((id) => ({ id }));
  }

  index(document: { id: string }) {
    this.#pending.push(
      fetch(`${SearchIndex.host}/documents/${document.id}`, { method: "PUT", body: JSON.stringify(document) }),
    );
    return this.fetch([document.id]);
  }

  async flush() {
    const done = await Promise.all(this.#pending);
    this.#pending = [];
    await fetch(`${SearchIndex.host}/_refresh`, { method: "POST" });
    return done.length;
  }
}
