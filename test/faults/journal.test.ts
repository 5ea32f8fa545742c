import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { withTempDir } from '#test-kit'
import { openJournal, readJournal, type Acknowledged } from './journal.ts'

test('the journal gives back what was promised, in order', async (t) => {
  const file = join(withTempDir(t), 'journal.jsonl')
  const lines: readonly Acknowledged[] = [
    { kind: 'click', clickId: 'a', at: 1 },
    { kind: 'event', clickId: 'a', type: 'reg', txid: 't', at: 2 },
    { kind: 'postback', clickId: 'a', txid: 'p', at: 3 },
  ]
  const journal = openJournal(file)
  lines.forEach(journal.write)
  assert.deepEqual(readJournal(file), lines)
  await journal.close()
  assert.deepEqual(readJournal(file), lines)
})
