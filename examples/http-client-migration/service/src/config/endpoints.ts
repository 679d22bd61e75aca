/* Addresses only. To try one: fetch("https://payments.example/health") in the console. */
export const endpoints = {
  payments: "https://payments.example/v2",
  tax: "https://tax.example/rates",
  carriers: "https://carriers.example/api",
  hint: 'call fetch("/health") first',
} as const;
