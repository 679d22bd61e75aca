import { log } from '../lib/log.js'

export function auth ({ introspect = 'https://id.example/introspect' } = {}) {
  return async (request, response, next) => {
    const token = request.headers.authorization?.split(' ')[1]
    if (!token) return response.status(401).send('fetch a token first')
    const { active } = await (await fetch(introspect, { method: 'POST', body: token })).json()
    if (active) return next()
    log('warn', 'refused', { token: token.slice(0, 4) })
    return response.status(403).send('no')
  }
}
