/** The HTTP function is injected: the CRM's library asks for it. */
export interface CrmOptions {
  fetch: typeof fetch;
  key: string;
}

export function createCrm({ fetch, key }: CrmOptions) {
  return {
    contact: (id: string) => fetch(`https://crm.example/contacts/${id}?key=${key}`),
    async note(id: string, text: string) {
      await fetch(`https://crm.example/contacts/${id}/notes`, { method: "POST", body: text });
    },
  };
}
