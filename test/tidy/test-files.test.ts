import assert from 'node:assert/strict'
import { test } from 'node:test'

import { listTestFiles } from '#test-kit'

import { listFiles } from './repository.ts'

test('npm test runs every test of the repository, those of the whole program and of the browser too', () => {
  assert.deepEqual(listTestFiles(), [...listFiles(/\.test\.ts$/)].sort())
})
