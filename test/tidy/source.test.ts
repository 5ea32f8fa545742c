import assert from 'node:assert/strict'
import { test } from 'node:test'

import { findLines, listFiles, readText } from './repository.ts'

const OWN_TEXT = /\.(ts|mjs|sql|md|json|yaml|yml)$/
const SELF = 'test/tidy/source.test.ts'
const sources = listFiles(/^src\/.*\.ts$/)

test('nothing is left for later', () => {
  const files = listFiles(OWN_TEXT).filter((file) => file !== SELF && file !== 'package-lock.json')
  assert.deepEqual(findLines(files, /\b(FIXME|TODO|XXX|HACK)\b/), [])
})

test('only the configuration reads the environment', () => {
  // The second one sets a variable, which the embedded engine's allocator reads.
  const allowed = ['src/config.ts', 'src/platform/clickhouse/engine-memory.ts']
  const files = sources.filter((file) => !allowed.includes(file))
  assert.deepEqual(findLines(files, /\bprocess\.env\b/), [])
})

test('types are not switched off', () => {
  const files = listFiles(/^(src|test|bench|sdk|scripts)\/.*\.ts$/).filter((file) => file !== SELF)
  assert.deepEqual(findLines(files, /@ts-(ignore|nocheck|expect-error)/), [])
})

test('tests wait for something, they do not sleep and are not skipped', () => {
  const files = listFiles(/\.test\.ts$/).filter((file) => file !== SELF)
  assert.deepEqual(findLines(files, /\b(test|it|describe)\.(only|skip|todo)\(|\{ (only|skip|todo): true/), [])
})

test('the front door of a module only exports', () => {
  const doors = sources.filter((file) => file.endsWith('/index.ts'))
  const other = doors.flatMap((file) => {
    const rest = readText(file).replace(/export (type )?(\{[^}]*\}|\*( as \w+)?) from '[^']+'/g, '')
    return rest.trim() === '' ? [] : [`${file}: ${rest.trim().split('\n')[0]}`]
  })
  assert.deepEqual(other, [])
})

test('folders are named for what they hold', () => {
  assert.deepEqual(listFiles(/(^|\/)(services|utils|helpers|common|types|managers)\//), [])
})

test('the product knows the words of docs/glossary.md: a periodic payment is a settlement, a click id is a click_id', () => {
  const files = [...sources, ...listFiles(/^migrations\//)]
  assert.deepEqual(findLines(files, /\b(clickId_|click_uuid|payout_run|payout_batch|publisher_id|partner_id)\b/i), [])
})

test('each module has an alias, and each alias leads to a file', () => {
  const { imports } = JSON.parse(readText('package.json')) as { imports: Record<string, string> }
  const doors = sources.filter((file) => /^src\/(platform\/)?[^/]+\/index\.ts$/.test(file)).map((file) => `./${file}`)
  const targets = Object.values(imports)
  assert.deepEqual(doors.filter((door) => !targets.includes(door)), []) // prettier-ignore
  assert.deepEqual(targets.filter((target) => !sources.includes(target.slice(2))), []) // prettier-ignore
})
