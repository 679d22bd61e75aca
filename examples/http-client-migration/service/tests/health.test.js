import assert from 'node:assert/strict'
import test from 'node:test'

test('health', async (t) => {
  const calls = []
  t.mock.method(globalThis, 'fetch', async (url) => (calls.push(url), new Response('ok')))
  assert.equal(await (await fetch('http://localhost/health')).text(), 'ok')
  assert.deepEqual(calls, ['http://localhost/health'])
})
