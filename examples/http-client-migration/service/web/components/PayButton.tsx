"use client";

import { useState, type MouseEvent } from "react";

export function PayButton(props: { order: string; amount: number }) {
  const [state, setState] = useState<"idle" | "busy" | "paid" | "failed">("idle");
  const pay = async (event: MouseEvent<HTMLButtonElement>): Promise<void> => {
    event.preventDefault();
    setState("busy");
    const { ok } = await window.fetch("/api/pay", {
      method: "POST",
      body: JSON.stringify(props),
    });
    setState(ok ? "paid" : "failed");
  };
  return (
    <button disabled={state === "busy"} onClick={pay}>
      {state === "failed" ? "fetch failed, try again" : "Pay"}
    </button>
  );
}
