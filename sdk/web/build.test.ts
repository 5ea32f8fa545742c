import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { buildSnippet, builtFile } from './build.ts'

const GZIP_BYTES_MAX = 2_048

test('the committed snippet is what its source builds to', async () => {
  assert.ok(readFileSync(builtFile, 'utf8') === (await buildSnippet()), 'run: npm run build:sdk')
})

test(`the snippet is smaller than ${GZIP_BYTES_MAX} bytes gzip`, () => {
  assert.ok(gzipSync(readFileSync(builtFile), { level: 9 }).length < GZIP_BYTES_MAX)
})
