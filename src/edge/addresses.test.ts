import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fastify } from 'fastify'

import type { ClickRecord } from '#records'
import type { SnapshotFollower } from '#snapshots'
import { snapshot } from '#routing/test-snapshots'
import { ownAddresses, readClickPath } from './addresses.ts'
import type { Edge } from './edge.ts'
import { addRoutes } from './routes.ts'
import { withEdge } from './test-edge.ts'

test('a path is a click exactly where the edge records one, with that link code', async (t) => {
  const { ask, records } = await withEdge(t, snapshot({ links: [{ code: 'main', campaign_id: 'summer' }] }))
  const paths = [
    ...ownAddresses, '/click', '/main', '/%6dain', '/%68op', '/nobody', '/event', '/pixel', '/main/', '/main/extra', '/click/x', '/', '/%zz',
    '/a%2Fb', `/${'x'.repeat(255)}`, `/${'x'.repeat(256)}`,
  ] // prettier-ignore
  let known = 0
  for (const path of paths) {
    await ask(path)
    const clicks = (await records()).filter(({ kind }) => kind === 'click')
    const click = readClickPath(path)
    assert.equal(clicks.length - known, click.kind === 'click' ? 1 : 0, path)
    if (click.kind === 'click') assert.equal((clicks.at(-1) as ClickRecord).link_code, click.linkCode, path)
    known = clicks.length
  }
})

test('every address that answers GET and is no click is known as one', () => {
  const server = fastify({ exposeHeadRoutes: false })
  const addresses = new Set<string>()
  server.addHook('onRoute', ({ method, url }) => {
    if ([method].flat().includes('GET')) addresses.add(url)
  })
  addRoutes(server, {} as Edge, {} as SnapshotFollower, { answer: () => undefined })
  const clicks = ['/click', '/:code', '/postback/:secret']
  assert.deepEqual(addresses, new Set([...ownAddresses, ...clicks]))
})
