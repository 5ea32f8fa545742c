import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkServerVersion } from './server-version.ts'

test('a server that is too old is refused with its version, the one needed and what to do', () => {
  assert.throws(() => checkServerVersion(150_018), {
    message:
      'The database server is PostgreSQL 15.18, and Waypost needs 17 or newer. ' +
      'Set DATABASE_URL to a newer server, or leave it out for the embedded one.',
  })
  assert.throws(() => checkServerVersion(160_000), /PostgreSQL 16\.0, and Waypost needs 17/)
})

test('17 and what comes after it is taken', () => {
  for (const number of [170_000, 170_010, 180_004, 190_000]) checkServerVersion(number)
})
