import assert from 'node:assert/strict'
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { withTempDir } from '#test-kit'

import { dataPaths, makeDataDirectory } from './data-directory.ts'

test('makes the data directory with its parents, for its owner only, and again without complaint', (t) => {
  const paths = dataPaths(join(withTempDir(t), 'a', 'b'))
  makeDataDirectory(paths)
  makeDataDirectory(paths)
  for (const directory of [paths.directory, paths.log, paths.hotState, paths.geo])
    assert.equal(statSync(directory).mode & 0o777, 0o700)
})

test('says so in one sentence where a file stands in the way', (t) => {
  const file = join(withTempDir(t), 'file')
  writeFileSync(file, '')
  for (const directory of [file, join(file, 'below')])
    assert.throws(
      () => makeDataDirectory(dataPaths(directory)),
      /cannot be made or written \(there is a file of that name\)/,
    )
})

test(
  'gives up where the file system takes no new names',
  { skip: process.platform !== 'linux' && 'needs /proc' },
  () => {
    assert.throws(() => makeDataDirectory(dataPaths('/proc/nowhere/data')), /cannot be made or written \(ENOENT\)/)
  },
)
