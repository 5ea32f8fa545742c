import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { startDemoSites, type DemoSites } from './demo-sites.ts'

async function startSites(t: TestContext): Promise<DemoSites> {
  const sites = await startDemoSites({
    port: 0,
    edgeUrl: 'http://edge.example',
    verifySignature: ({ headers }) => headers['webhook-signature'] === 'right',
  })
  t.after(() => sites.stop())
  return sites
}

test('a landing page carries the snippet of the edge, and what can be done on it', async (t) => {
  const sites = await startSites(t)
  const html = await (await fetch(`${sites.url}/landing/lumen-shop`)).text()
  assert.match(html, /<script src="http:\/\/edge\.example\/t\.js"><\/script>/)
  for (const word of ['trackLpClick()', 'trackReg(', 'trackDeposit(', '79 EUR']) assert.ok(html.includes(word), word)
  assert.equal((await fetch(`${sites.url}/landing/none`)).status, 404)
})

test('receivers count what came and whose signature was right, and turn some away at the first try only', async (t) => {
  const sites = await startSites(t)
  const send = async (id: number, signature: string): Promise<number> => {
    const headers = { 'webhook-id': String(id), 'webhook-signature': signature }
    return (await fetch(`${sites.url}/receiver/tracker?cid=${id}`, { headers })).status
  }
  for (let id = 1; id <= 11; id++) assert.equal(await send(id, id === 5 ? 'wrong' : 'right'), 200)
  assert.equal(await send(12, 'right'), 500)
  assert.deepEqual(sites.counts(), { received: 11, verified: 10, distinct: 12, turned_away: 1 })
  assert.equal(await send(12, 'right'), 200)
  assert.deepEqual(sites.counts(), { received: 12, verified: 11, distinct: 12, turned_away: 1 })
  assert.match(await (await fetch(`${sites.url}/receiver`)).text(), /12 postbacks, signature right on 11/)
})
