import assert from 'node:assert/strict'
import { test } from 'node:test'

import { withTempDir } from '#test-kit'
import { lockPartition, lockUnwrittenPartition, tryLockPartition } from './partition-lock.ts'

test('a partition that is written to is passed by at once', async (t) => {
  const directory = withTempDir(t)
  const writing = await lockPartition(directory)
  const startedAt = performance.now()
  assert.equal(await lockUnwrittenPartition(directory), undefined)
  assert.ok(performance.now() - startedAt < 500)
  assert.equal(tryLockPartition(directory, 'recover'), undefined)
  writing.release()
  const next = await lockUnwrittenPartition(directory)
  next!.release()
})

test('a reader that recovers the tail is waited for, and no partition is passed by for it', async (t) => {
  const directory = withTempDir(t)
  const recovering = tryLockPartition(directory, 'recover')!
  assert.equal(tryLockPartition(directory, 'write'), undefined)
  assert.equal(tryLockPartition(directory, 'recover'), undefined)
  const waiting = lockUnwrittenPartition(directory)
  recovering.release()
  const lock = await waiting
  assert.notEqual(lock, undefined)
  lock!.release()
})
