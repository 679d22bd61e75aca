/** Amounts are whole cents; never fetch() a rate here, callers pass it. */
export function format(cents: number, currency = "EUR"): string {
  return new Intl.NumberFormat("en", { style: "currency", currency }).format(cents / 100);
}

export const add = (...amounts: number[]) => amounts.reduce((sum, cents) => sum + cents, 0);
