import { endpoints } from "../config/endpoints";
import { assertOk } from "../lib/errors";

export interface Charge {
  id: string;
  amount: number;
  state: "pending" | "captured" | "refused";
}

export class PaymentsClient {
  constructor(private readonly token: string) {}

  async charge(order: string, amount: number): Promise<Charge> {
    const response = await fetch(`${endpoints.payments}/charges`, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Authorization: `Bearer ${this.token}`,
        "Idempotency-Key": order,
      },
      body: JSON.stringify({ order, amount }),
    });
    return (await assertOk(response, "payments").json()) as Charge;
  }

  async find(id: string) {
    return (await (await fetch(`${endpoints.payments}/charges/${id}`)).json()) as Charge;
  }

  refund = async (id: string) =>
    assertOk(await fetch(`${endpoints.payments}/charges/${id}/refund`, { method: "POST" }), "payments");
}
