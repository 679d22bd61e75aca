import { use } from "react";

const invoices = fetch("/api/invoices").then((response) => response.json()) as Promise<{ id: string; due: string }[]>;

export default function InvoiceTable() {
  const rows = use(invoices);
  return (
    <table>
      <tbody>
        {rows.map(({ id, due }) => (
          <tr key={id} onDoubleClick={async () => { await fetch(`/api/invoices/${id}/remind`, { method: "POST" }); }}>
            <td>{id}</td>
            <td>{due}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
