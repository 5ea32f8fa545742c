import assert from 'node:assert/strict'
import { test } from 'node:test'

import { listedLogs } from './listed-logs.ts'
import { deliveryProperties } from './routes/deliveries.ts'
import { inboundPostback } from './routes/inbound-postbacks.ts'

test('a listed log has the columns of its list, each with a title of its own', () => {
  const properties = { 'inbound-postbacks': inboundPostback.properties, deliveries: deliveryProperties }
  for (const [log, { columns }] of Object.entries(listedLogs)) {
    const names = Object.keys(properties[log as keyof typeof properties])
    assert.deepEqual(columns.map(({ name }) => name), names) // prettier-ignore
    assert.equal(new Set(columns.map(({ title }) => title)).size, names.length)
  }
})
