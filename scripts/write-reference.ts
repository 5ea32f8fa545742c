/** Writes the tables of the documentation that are made from the code: `npm run docs`. */
import { readFileSync, writeFileSync } from 'node:fs'

import { configurationJsonSchema, referenceTables, withTable } from './reference-tables.ts'

for (const table of referenceTables) {
  const file = new URL(`../${table.file}`, import.meta.url)
  writeFileSync(file, withTable(readFileSync(file, 'utf8'), table))
}
writeFileSync(new URL(`../${configurationJsonSchema.file}`, import.meta.url), configurationJsonSchema.text)
