import { writeFile } from "node:fs/promises";

export async function render(invoice: { id: string; html: string }): Promise<Uint8Array> {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), 20_000);
  try {
    const response = await fetch(
      // the renderer
      process.env.RENDERER_URL!,
      {
        method: "POST", // it takes HTML
        headers: { Accept: "application/pdf" } /* and gives PDF */,
        body: invoice.html,
        signal: controller.signal,
      },
    );
    return new Uint8Array(await response.arrayBuffer());
  } finally {
    clearTimeout(timer);
  }
}

export async function save(invoice: { id: string; html: string }) {
  await writeFile(`invoices/${invoice.id}.pdf`, await render(invoice));
}
