import { useDeferredValue, useEffect, useState } from "react";

export function Search<T extends { id: string; name: string }>({ source }: { source: string }) {
  const [query, setQuery] = useState("");
  const [hits, setHits] = useState<readonly T[]>([]);
  const deferred = useDeferredValue(query);

  useEffect(() => {
    let stale = false;
    (async () => {
      const response = await fetch(`${source}?q=${encodeURIComponent(deferred)}`);
      const found = (await response.json()) as T[];
      if (!stale) setHits(found);
    })();
    return () => {
      stale = true;
    };
  }, [deferred, source]);

  return (
    <>
      <input value={query} onChange={(event) => setQuery(event.target.value)} placeholder="fetch…" />
      {hits.map((hit) => <p key={hit.id}>{hit.name}</p>)}
    </>
  );
}
