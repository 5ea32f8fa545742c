import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'

import { configurationJsonSchema, referenceTables, withTable } from '../../scripts/reference-tables.ts'
import { listFiles, readText, ROOT } from './repository.ts'

const pages = listFiles(/\.md$/)

for (const table of referenceTables) {
  test(`the table "${table.name}" in ${table.file} says what the code says (npm run docs writes it)`, () => {
    const page = readText(table.file)
    assert.equal(page, withTable(page, table))
  })
}

test('the JSON schema of the configuration is that of the code (npm run docs writes it)', () => {
  assert.equal(readText(configurationJsonSchema.file), configurationJsonSchema.text)
})

test('links between pages lead somewhere', () => {
  const broken = pages.flatMap((page) =>
    [...readText(page).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)]
      .map(([, target]) => normalize(join(dirname(page), target!)))
      .filter((target) => !existsSync(join(ROOT, target)))
      .map((target) => `${page} → ${target}`),
  )
  assert.deepEqual(broken, [])
})

test('pages name only files that exist', () => {
  const named = /`((?:src|docs|test|bench|scripts|migrations|sdk|console)\/[\w./-]*[\w/])`/g
  const missing = pages.flatMap((page) =>
    [...readText(page).matchAll(named)]
      .map(([, path]) => path!)
      .filter((path) => !existsSync(join(ROOT, path)))
      .map((path) => `${page}: ${path}`),
  )
  assert.deepEqual(missing, [])
})

test('pages and comments name only npm scripts that exist', () => {
  const { scripts } = JSON.parse(readText('package.json')) as { scripts: Record<string, string> }
  const files = [...pages, ...listFiles(/^(src|scripts|bench|test)\/.*\.(ts|mjs)$/)]
  const unknown = files.flatMap((file) =>
    [...readText(file).matchAll(/npm run ([a-z][a-z0-9:-]*)/g)]
      .map(([, name]) => name!)
      .filter((name) => !(name in scripts))
      .map((name) => `${file}: npm run ${name}`),
  )
  assert.deepEqual(unknown, [])
})

test('decisions are named by their date', () => {
  const names = listFiles(/^docs\/adr\//).map((file) => file.slice('docs/adr/'.length))
  assert.deepEqual(names.filter((name) => !/^\d{4}-\d{2}-\d{2}-[a-z0-9-]+\.md$/.test(name)), []) // prettier-ignore
})

test('each migration says why in its first line', () => {
  const migrations = listFiles(/^migrations\/.*\.sql$/)
  assert.notEqual(migrations.length, 0)
  assert.deepEqual(migrations.filter((file) => !/^-- \S/.test(readText(file))), []) // prettier-ignore
})

test('migrations are numbered without gaps', () => {
  for (const engine of ['postgres', 'clickhouse']) {
    const numbers = listFiles(new RegExp(`^migrations/${engine}/`)).map((file) =>
      Number(file.split('/')[2]!.slice(0, 3)),
    )
    assert.deepEqual(numbers, numbers.map((_, index) => index + 1)) // prettier-ignore
  }
})
