const { fetch: get } = globalThis

export async function syncStock (skus) {
  const answers = await Promise.all(skus.map(sku => get(`http://stock.internal/${sku}`)))
  return Promise.all(answers.map(answer => answer.json()))
}

export async function lastSync () {
  const answer = await get('http://stock.internal/last-sync')
  return new Date(await answer.text())
}
