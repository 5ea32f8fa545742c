import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HealthBook, healthSignOf } from './health-book.ts'

test('success, failure and 410 are signs; what we broke off and what is about one message are none', () => {
  const ended = { outcome: 'gave_up', error: undefined } as const
  assert.equal(healthSignOf({ outcome: 'delivered', giveUpReason: undefined, error: undefined }), 'success')
  assert.equal(healthSignOf({ ...ended, giveUpReason: 'gone' }), 'gone')
  assert.equal(healthSignOf({ ...ended, giveUpReason: 'attempts_exhausted' }), 'failure')
  assert.equal(healthSignOf({ ...ended, giveUpReason: 'aborted_by_receiver' }), undefined)
  assert.equal(healthSignOf({ ...ended, giveUpReason: 'answer_final' }), undefined)
  assert.equal(healthSignOf({ outcome: 'retry', giveUpReason: undefined, error: 'proxy_error' }), undefined)
  assert.equal(healthSignOf({ outcome: 'retry', giveUpReason: undefined, error: 'timeout' }), 'failure')
  assert.equal(healthSignOf({ outcome: 'retry', giveUpReason: undefined, error: 'interrupted' }), undefined)
})

test('an endpoint that works is no news', () => {
  const book = new HealthBook()
  book.note('a', 'success', 1, false)
  book.note('a', 'failure', 2, false)
  book.note('a', 'success', 3, false)
  assert.equal(book.take().size, 0)
})

test('only what follows the last success counts', () => {
  const book = new HealthBook()
  book.note('a', 'failure', 1, true)
  book.note('a', 'success', 2, true)
  book.note('a', 'failure', 3, true)
  book.note('a', 'gone', 4, true)
  assert.deepEqual(book.take().get('a'), { hasSucceeded: true, firstFailureAt: 3, lastFailureAt: 4, isGone: true })
  assert.equal(book.take().size, 0)
})

test('news that could not be written down are joined with what came meanwhile', () => {
  const book = new HealthBook()
  for (const [id, sign] of [['a', 'failure'], ['b', 'failure'], ['c', 'failure']] as const) book.note(id, sign, 1, true) // prettier-ignore
  const taken = book.take()
  book.note('a', 'failure', 5, true)
  book.note('b', 'success', 5, true)
  book.putBack(taken)
  const joined = book.take()
  assert.deepEqual(joined.get('a'), { hasSucceeded: false, firstFailureAt: 1, lastFailureAt: 5, isGone: false })
  assert.deepEqual(joined.get('b'), { hasSucceeded: true, firstFailureAt: undefined, lastFailureAt: undefined, isGone: false }) // prettier-ignore
  assert.deepEqual(joined.get('c'), { hasSucceeded: false, firstFailureAt: 1, lastFailureAt: 1, isGone: false })
})
