import { endpoints } from '../config/endpoints'

export type Rates = Record<string, number>

export function rates(country: string): Promise<Rates> {
  return fetch(`${endpoints.tax}?country=${country}`)
    .then(response => {
      if (!response.ok) throw new Error('no rates; was fetch blocked?')
      return response.json()
    })
    .then((body: { rates: Rates }) => body.rates)
}

export const rateOf = async (country: string, kind: string) => (await rates(country))[kind] ?? 0
