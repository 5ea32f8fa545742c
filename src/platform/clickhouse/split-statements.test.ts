import assert from 'node:assert/strict'
import { test } from 'node:test'

import { splitStatements } from './migrate.ts'

test('splits at semicolons that are neither in quotes nor in comments', () => {
  const sql = `-- first; of two
    CREATE TABLE a (s String DEFAULT 'it''s; \\'so\\''); /* a; b */
    INSERT INTO "odd;name" VALUES (1);`
  assert.deepEqual(splitStatements(sql), [
    `CREATE TABLE a (s String DEFAULT 'it''s; \\'so\\'')`,
    `INSERT INTO "odd;name" VALUES (1)`,
  ])
})

test('a file of comments holds no statement', () => {
  assert.deepEqual(splitStatements('-- nothing;\n'), [])
})
