import { useState } from "react";

function fetch(kind) {
  // A local function of this name: it reads what the page was rendered with.
  return JSON.parse(document.getElementById(`data-${kind}`).textContent);
}

export default function Reports() {
  const [kind, setKind] = useState("sales");
  const rows = fetch(kind);
  return (
    <section onClick={() => setKind("costs")}>
      {rows.map((row) => <p key={row.id}>{row.text}</p>)}
    </section>
  );
}
