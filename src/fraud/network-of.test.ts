import assert from 'node:assert/strict'
import { test } from 'node:test'

import { networkOf } from './network-of.ts'

const NETWORKS: readonly (readonly [address: string, ip: string, subnet: string])[] = [
  ['192.0.2.7', '192.0.2.7', '192.0.2.'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2', '2001:db8:1'],
  ['2001:0DB8:0001:0002:aaaa::1', '2001:db8:1:2', '2001:db8:1'],
  ['2001:db8::1', '2001:db8:0:0', '2001:db8:0'],
  ['2001:db8:0:0::1', '2001:db8:0:0', '2001:db8:0'],
  ['2001:db8:0000:0000:0000:0000:0000:0001', '2001:db8:0:0', '2001:db8:0'],
  ['a:b::c:d:e:192.0.2.7', 'a:b:0:c', 'a:b:0'],
  ['::1', '0:0:0:0', '0:0:0'],
  ['fe80::', 'fe80:0:0:0', 'fe80:0:0'],
]
for (const [address, ip, subnet] of NETWORKS)
  test(`${address} is of ${ip}, around it is ${subnet}`, () => {
    assert.deepEqual([networkOf(address, 'ip'), networkOf(address, 'subnet')], [ip, subnet])
  })
