import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'

import { withFreePort } from './ports.ts'

const failWith = (code: string) => () => Promise.reject(Object.assign(new Error('listen'), { code }))

test('says which variable moves a port that is taken', async (t) => {
  const first = createServer().listen(0, '127.0.0.1')
  t.after(() => first.close())
  await once(first, 'listening')
  const { port } = first.address() as { port: number }
  const second = async (): Promise<void> => void (await once(createServer().listen(port, '127.0.0.1'), 'listening'))
  await assert.rejects(withFreePort('WAYPOST_EDGE_PORT', port, second), {
    message: `Port ${port} is in use: stop what uses it, or set WAYPOST_EDGE_PORT.`,
  })
})

test('explains a port that is not allowed and a host that is not here', async () => {
  await assert.rejects(withFreePort('WAYPOST_EDGE_PORT', 80, failWith('EACCES')), /Port 80 is not allowed to this user/)
  await assert.rejects(
    withFreePort('WAYPOST_EDGE_PORT', 80, failWith('EADDRNOTAVAIL')),
    /is no address of this machine/,
  )
  await assert.rejects(withFreePort('WAYPOST_EDGE_PORT', 80, failWith('EOTHER')), /^Error: listen$/)
})
