/**
 * Consent records. The service was once called by
 *
 *     await fetch("/consent")
 *
 * which is history: see fetchConsent().
 */
export async function fetchConsent(customer: string) {
  const { fetch: request } = window;
  const response = await request(`/consent/${customer}`); // not fetch("/consent")
  return response.json();
}

export const consentUrl = (customer: string) => `/consent/${customer}`;
