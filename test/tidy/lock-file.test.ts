import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

type Lock = { packages: Record<string, { optionalDependencies?: Record<string, string>; resolved?: string }> }

const lock = JSON.parse(readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')) as Lock

test('the lock file has an entry for every optional package, else npm ci refuses it', () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in lock.packages) && !(`${path}/node_modules/${name}` in lock.packages),
    ),
  )
  assert.deepEqual(missing, [], 'run node scripts/complete-lock.mjs')
})

test('the lock file names no registry host, so that any mirror serves', () => {
  const resolved = Object.values(lock.packages).flatMap(({ resolved: address }) => address ?? [])
  assert.deepEqual(resolved, [])
})
