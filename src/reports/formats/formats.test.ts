import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'
import readSheet from 'read-excel-file/node'

import { csvHead, guardFormula, writeCsv, writeJsonLines, writeXlsx, type Cell, type TableColumn } from './index.ts'

async function* each(rows: readonly (readonly Cell[])[]): AsyncIterable<readonly Cell[]> {
  yield* rows
}

async function bytesOf(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const part of parts) all.push(part)
  return Buffer.concat(all)
}

const column = (name: string, type: TableColumn['type'] = 'text', title = name): TableColumn => ({ name, title, type })

/** RFC 4180, by hand. */
function readCsv(text: string): string[][] {
  const rows: string[][] = [[]]
  let cell = ''
  let isQuoted = false
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]!
    if (isQuoted) {
      if (sign !== '"') cell += sign
      else if (text[at + 1] === '"') cell += text[at++]
      else isQuoted = false
    } else if (sign === '"') isQuoted = true
    else if (sign === ',' || sign === '\r') {
      rows.at(-1)!.push(cell)
      cell = ''
    } else if (sign === '\n') rows.push([])
    else cell += sign
  }
  return rows.slice(0, -1)
}

test('CSV gives back every text, guarded against formulas', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.string(), fc.string())), async (rows) => {
      const text = (await bytesOf(writeCsv([column('a'), column('b')], each(rows), { headers: 'name', isMarked: false }))).toString() // prettier-ignore
      assert.deepEqual(readCsv(text), [['a', 'b'], ...rows.map((row) => row.map(guardFormula))])
    }),
  )
  for (const text of ['=1', '+1', '-1', '@a', '\t=1', '\r=1']) assert.equal(guardFormula(text), `'${text}`)
  for (const text of ['a=1', '', ' =1']) assert.equal(guardFormula(text), text)
})

test('CSV leaves numbers, amounts and times as they are, and its heads are names or titles', async () => {
  const columns = [column('cost', 'money', '=Cost'), column('at', 'time', 'Time'), column('n', 'integer', 'Number')]
  const options = { headers: 'title', isMarked: true } as const
  const text = (await bytesOf(writeCsv(columns, each([['-2.50', '2026-11-20T11:00:00Z', -5], [null, null, null]]), options))).toString() // prettier-ignore
  assert.equal(text, "\uFEFF'=Cost,Time,Number\r\n-2.50,2026-11-20T11:00:00Z,-5\r\n,,\r\n")
  assert.equal(csvHead(columns, { headers: 'name', isMarked: false }), 'cost,at,n\r\n')
})

test('JSON lines are objects with the names of columns', async () => {
  const text = (await bytesOf(writeJsonLines([column('a'), column('b', 'integer')], each([['x\ny', 1]])))).toString()
  assert.equal(text, '{"a":"x\\ny","b":1}\n')
})

test('XLSX is read by other programs: numbers as numbers, money with its decimals, days and times as dates, text as text', async () => {
  const columns = [
    column('text'),
    column('count', 'integer'),
    column('money', 'money'),
    column('share', 'percent'),
    column('day', 'date'),
    column('hour', 'time'),
    column('flag', 'flag'),
    column('pairs', 'pairs'),
    column('ratio', 'decimal'),
  ]
  const rows: Cell[][] = [
    ['=1+1', 12, '1234.567', 0.25, '2026-03-29', '2026-03-29T03:00:00+02:00', true, { a: 'b' }, 0.333333],
    ['<&> "x"', -5, '-2.50', null, '2026-02-28', '2026-11-20T11:00:00.250Z', false, {}, null],
  ]
  const [{ data } = { data: [] as unknown[][] }] = await readSheet(
    await bytesOf(writeXlsx(columns, each(rows), { headers: 'name' })),
  )
  assert.deepEqual(data, [
    columns.map(({ name }) => name),
    ['=1+1', 12, 1234.567, 0.25, new Date('2026-03-29'), new Date('2026-03-29T03:00:00Z'), true, '{"a":"b"}', 0.333333],
    ['<&> "x"', -5, -2.5, null, new Date('2026-02-28'), new Date('2026-11-20T11:00:00.250Z'), false, '{}', null],
  ])
})

test('XLSX gives back every text that XML can write', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ minLength: 1, unit: 'grapheme' }), { minLength: 1, maxLength: 20 }),
      async (texts) => {
        const file = await bytesOf(
          writeXlsx([column('a')], each(texts.map((text) => [`x${text}x`])), { headers: 'name' }),
        )
        const [{ data } = { data: [] as unknown[][] }] = await readSheet(file)
        assert.deepEqual(data.slice(1).map(([cell]) => cell), texts.map((text) => `x${text}x`)) // prettier-ignore
      },
    ),
    { numRuns: 20 },
  )
})

test('XLSX of more rows than a sheet has is refused, and one of many columns names them all', async () => {
  const rows = each([['1'], ['2'], ['3']])
  await assert.rejects(bytesOf(writeXlsx([column('a')], rows, { headers: 'name', rowsMax: 3 })), { code: 'export_too_large' }) // prettier-ignore
  const wide = Array.from({ length: 60 }, (_, index) => column(`c${index}`))
  const [{ data } = { data: [] as unknown[][] }] = await readSheet(
    await bytesOf(writeXlsx(wide, each([wide.map(({ name }) => name)]), { headers: 'name' })),
  )
  assert.deepEqual(data[1], wide.map(({ name }) => name)) // prettier-ignore
})

test('XLSX is written as its rows come', async () => {
  let given = 0
  const endless = async function* (): AsyncIterable<readonly Cell[]> {
    for (;;) yield [`row ${given++}`]
  }
  let bytes = 0
  for await (const part of writeXlsx([column('a')], endless(), { headers: 'name' })) {
    bytes += part.length
    if (bytes > 100_000) break
  }
  assert.ok(given < 200_000)
})

test('XLSX keeps the milliseconds of times', async () => {
  const times = Array.from({ length: 1_000 }, (_, ms) => `2026-11-20T11:00:07.${String(ms).padStart(3, '0')}Z`)
  const file = await bytesOf(writeXlsx([column('at', 'time')], each(times.map((time) => [time])), { headers: 'name' }))
  const [{ data } = { data: [] as unknown[][] }] = await readSheet(file)
  assert.deepEqual(data.slice(1).map(([at]) => (at as Date).toISOString()), times) // prettier-ignore
})
