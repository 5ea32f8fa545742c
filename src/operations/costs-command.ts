import { resolve } from 'node:path'

import type { Config } from '#config'

import { readText } from './apply-file.ts'
import { askApi, askToDelete, sendFile } from './ask-api.ts'

/** What `waypost costs` is asked to do. */
export type CostsQuestion =
  | { readonly verb: 'import'; readonly file: string; readonly query: Readonly<Record<string, string>> }
  | { readonly verb: 'list' }
  | { readonly verb: 'respread' | 'delete'; readonly importId: string }

/** What `waypost rates` is asked to do. */
export type RatesQuestion =
  | { readonly verb: 'import'; readonly file: string; readonly query: Readonly<Record<string, string>> }
  | { readonly verb: 'set'; readonly date: string; readonly currency: string; readonly rate: string }
  | { readonly verb: 'list'; readonly query: Readonly<Record<string, string>> }

type Amount = { readonly currency: string; readonly amount: string; readonly unallocated: string }
type Imported = {
  readonly kind: 'planned' | 'booked' | 'unchanged'
  readonly import_id: string | null
  readonly version: number | null
  readonly amounts: readonly Amount[]
  readonly clicks: number
  readonly rows_count: number
  readonly rows: readonly {
    readonly row: number
    readonly dimensions: Readonly<Record<string, string>>
    readonly amount: string
    readonly currency: string
    readonly clicks: number | null
    readonly cost_per_click: string | null
    readonly reason: string | null
  }[]
}

/** How the options are called by the API. */
const options = {
  ...{ key: '--key', advertiser_id: '--advertiser', tz: '--tz', currency: '--currency', spread: '--spread' },
  ...{ idempotency_key: '--idempotency-key', import_id: 'the id' },
}

/** `waypost costs`: imports of what traffic cost, by the API of the running installation.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct
 */
export async function runCostsCommand(config: Config, question: CostsQuestion): Promise<number> {
  process.stdout.write(await answerCosts(config, question))
  return 0
}

async function answerCosts(config: Config, question: CostsQuestion): Promise<string> {
  switch (question.verb) {
    case 'import': {
      const text = readText(resolve(config.callDir, question.file))
      const path = `/v1/costs?${new URLSearchParams(question.query).toString()}`
      return printImport((await sendFile(config, path, text, 'text/csv', options)) as Imported)
    }
    case 'list': {
      const { items } = (await askApi(config, '/v1/costs?limit=500')) as { items: readonly Listed[] }
      return items.length === 0 ? 'No costs are imported.\n' : items.map(printListed).join('')
    }
    case 'respread':
      return printImport((await askApi(config, `/v1/costs/${encodeURIComponent(question.importId)}/respread`, {}, { options })) as Imported) // prettier-ignore
    case 'delete':
      return printImport((await askToDelete(config, `/v1/costs/${encodeURIComponent(question.importId)}`)) as Imported)
    default:
      return question satisfies never
  }
}

type Listed = {
  readonly import_id: string
  readonly key: string
  readonly advertiser_id: string
  readonly version: number
  readonly kind: string
  readonly created_at: string
  readonly rows: number
  readonly clicks: number
  readonly amounts: readonly Amount[]
}

const printListed = (one: Listed): string =>
  `${one.import_id}  ${one.created_at}  ${one.advertiser_id}  ${one.key}: version ${one.version} (${one.kind}), ${one.rows} rows, ${one.clicks} clicks, ${printAmounts(one.amounts)}\n`

const printAmounts = (amounts: readonly Amount[]): string =>
  amounts
    .map(({ currency, amount, unallocated }) =>
      Number(unallocated) === 0 ? `${amount} ${currency}` : `${amount} ${currency} (${unallocated} without a click)`,
    )
    .join(', ') || 'nothing'

const KINDS = {
  planned: 'A dry run: nothing is booked.',
  booked: 'Booked.',
  unchanged: 'It is in already: nothing was booked.',
} as const

function printImport(answer: Imported): string {
  const rows = answer.rows.map(({ row, dimensions, amount, currency, clicks, cost_per_click, reason }) => {
    const place = Object.entries(dimensions).map(([name, value]) => `${name}=${value}`).join(' ') // prettier-ignore
    const bearers = reason === null ? `${clicks} clicks, ${cost_per_click} each` : reason
    return `  row ${row}${place === '' ? '' : ` ${place}`}: ${amount} ${currency}, ${bearers}\n`
  })
  const which = answer.import_id === null ? '' : ` Import ${answer.import_id}, version ${answer.version}.`
  return `${rows.join('')}${KINDS[answer.kind]}${which} ${answer.rows_count} rows, ${answer.clicks} clicks, ${printAmounts(answer.amounts)}.\n`
}

type Stored = { readonly stored: number; readonly unchanged: number }
type Rate = {
  readonly day: string
  readonly base: string
  readonly currency: string
  readonly rate: string
  readonly source: string
  readonly versions: number
}

/** `waypost rates`: exchange rates, by the API of the running installation.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct
 */
export async function runRatesCommand(config: Config, question: RatesQuestion): Promise<number> {
  process.stdout.write(await answerRates(config, question))
  return 0
}

async function answerRates(config: Config, question: RatesQuestion): Promise<string> {
  switch (question.verb) {
    case 'import': {
      const text = readText(resolve(config.callDir, question.file))
      const type = text.trimStart().startsWith('<') ? 'application/xml' : 'text/csv'
      const path = `/v1/rates?${new URLSearchParams(question.query).toString()}`
      return printStored((await sendFile(config, path, text, type, rateOptions)) as Stored)
    }
    case 'set': {
      const { date, currency, rate } = question
      const body = { rates: [{ date, currency, rate }] }
      return printStored((await askApi(config, '/v1/rates?source=command', body)) as Stored)
    }
    case 'list': {
      const path = `/v1/rates?${new URLSearchParams(question.query).toString()}`
      const { items } = (await askApi(config, path, undefined, { options: rateOptions })) as { items: readonly Rate[] }
      return items.length === 0 ? 'No rates are stored.\n' : items.map(printRate).join('')
    }
    default:
      return question satisfies never
  }
}

const rateOptions = { base: '--base', format: '--format', currency: '--currency', from: '--from', to: '--to' }

const printStored = ({ stored, unchanged }: Stored): string =>
  `${stored} rates are stored, ${unchanged} were there already.\n`

const printRate = ({ day, base, currency, rate, source, versions }: Rate): string =>
  `${day}  1 ${base} = ${rate} ${currency}  ${source}${versions > 1 ? ', corrected' : ''}\n`
