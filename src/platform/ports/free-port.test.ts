import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test } from 'node:test'

import { findFreePort } from './free-port.ts'

test('a free port is one that the system gives to no connection', async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, findFreePort))
  const first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0])
  assert.ok(
    ports.every((port) => port >= 10_000 && port < first),
    ports.join(' '),
  )
  const server = createServer().listen(ports[0], '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(client, 'connect')
  client.destroy()
  server.close()
})
