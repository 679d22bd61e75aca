import { log } from './../lib/log.js';

export const rateLimit = (limit) => async (request, response, next) => {
  const used = await fetch(`http://limits.internal/${request.ip}`, { method: 'POST' })
    .then((answer) => answer.json())
    .then(({ count }) => count)
    .catch((error) => (log('error', String(error)), 0));
  used > limit ? response.status(429).send('later') : next();
};
