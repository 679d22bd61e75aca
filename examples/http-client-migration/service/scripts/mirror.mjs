import { setTimeout as sleep } from 'node:timers/promises'

const queue = process.argv.slice(2)
let running = 0

export async function mirror (url) {
  while (running >= 4) await sleep(50)
  running += 1
  return fetch(url, { redirect: 'follow' }).finally(() => { running -= 1 })
}

do {
  const next = queue.shift()
  if (!next) break
  console.log(next, (await mirror(next)).status)
} while (true)
