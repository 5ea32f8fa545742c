import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test, type TestContext } from 'node:test'
import { withTempDir } from '#test-kit'
import { capLimits } from '../../limits.ts'
import { openEnvironment } from './environment.ts'

const [KEY, OTHER, VALUE] = [Buffer.from('k1'), Buffer.from('k2'), Buffer.from([0, 255])]

function open(t: TestContext) {
  const directory = withTempDir(t)
  const entries = openEnvironment(directory, 'one', 0)
  t.after(() => entries.close())
  return { entries, file: join(directory, 'run-one', 'caps.db') }
}

test('work that throws leaves the entries as before, and the next is done', (t) => {
  const { entries } = open(t)
  const broken = (): never => {
    entries.put(KEY, VALUE)
    throw new Error('broken off')
  }
  assert.throws(() => entries.transact(broken), /broken off/)
  assert.equal(entries.get(KEY), undefined)
  entries.transact(() => entries.put(OTHER, VALUE))
  assert.deepEqual(entries.get(OTHER), VALUE)
  assert.deepEqual(entries.keysBetween(KEY, Buffer.from('l'), 9), [OTHER])
  assert.deepEqual(entries.transact(() => [entries.remove(OTHER), entries.remove(OTHER)]), [true, false]) // prettier-ignore
})

test('a transaction waits two seconds for one that another holds, and no longer', (t) => {
  const { entries, file } = open(t)
  const other = new DatabaseSync(file)
  t.after(() => other.close())
  other.exec('BEGIN IMMEDIATE')
  const begin = performance.now()
  assert.throws(() => entries.transact(() => entries.put(KEY, VALUE)), /database is locked/)
  const waitedMs = performance.now() - begin
  assert.ok(waitedMs >= capLimits.lockWaitMsMax && waitedMs < 4_000, `${waitedMs} ms`)
  assert.equal(entries.get(KEY), undefined)
  other.exec('COMMIT')
  entries.transact(() => entries.put(KEY, VALUE))
  assert.deepEqual(entries.get(KEY), VALUE)
})
