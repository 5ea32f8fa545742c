import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'

import { textOf } from './answer-text.ts'

const WORDS = '{"status":"error"}'
const bytes = Buffer.from(WORDS)
const read = (given: Buffer, encoding?: string | readonly string[]): string | undefined =>
  textOf(given, encoding, 1_000)

test('the words of an answer are read however they are encoded', () => {
  assert.equal(read(bytes), WORDS)
  assert.equal(read(bytes, 'identity'), WORDS)
  assert.equal(read(gzipSync(bytes), 'GZIP'), WORDS)
  assert.equal(read(deflateSync(bytes), 'deflate'), WORDS)
  assert.equal(read(brotliCompressSync(bytes), 'br'), WORDS)
  assert.equal(read(brotliCompressSync(gzipSync(bytes)), 'gzip, br'), WORDS)
  assert.equal(read(brotliCompressSync(gzipSync(bytes)), ['gzip', 'br']), WORDS)
})

test('three encodings are taken off, and no more', () => {
  const wrapped = (times: number): Buffer => Array.from({ length: times }).reduce<Buffer>((inner) => gzipSync(inner), bytes) // prettier-ignore
  assert.equal(read(wrapped(3), 'gzip, gzip, gzip'), WORDS)
  assert.equal(read(wrapped(4), 'gzip, gzip, gzip, gzip'), undefined)
})

test('a byte order mark is none of them', () => {
  assert.equal(read(Buffer.from(`\uFEFF${WORDS}`)), WORDS)
})

test('what is no such encoding, is cut, or grows beyond what is looked at has no words', () => {
  assert.equal(read(bytes, 'gzip'), undefined)
  assert.equal(read(bytes, 'zstd-of-somebody'), undefined)
  assert.equal(read(gzipSync(bytes).subarray(0, 20), 'gzip'), undefined)
  assert.equal(read(gzipSync(Buffer.alloc(100_000)), 'gzip'), undefined)
})
