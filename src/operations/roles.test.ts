import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseRoles, roles } from './roles.ts'

test('without a role a process is everything', () => {
  assert.deepEqual(parseRoles([]), roles)
})

test('roles may be listed and repeated', () => {
  assert.deepEqual(parseRoles(['delivery, edge', 'edge']), ['edge', 'delivery'])
})

test('refuses a role that does not exist and says which there are', () => {
  assert.throws(() => parseRoles(['edge,worker']), {
    code: 'argument_invalid',
    message:
      'An argument of the command has a value that cannot be used. --role worker: must be of edge, pipeline, delivery, api.',
  })
})
