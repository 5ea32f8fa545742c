import type { Config } from '#config'

import { dataPaths } from './data-directory.ts'
import type { Main } from './main-process.ts'

/** What a person sees once everything runs: what runs where, and what to try first. */
export function describeStart(config: Config, main: Main, tookMs: number): string {
  const rows = [
    ...edgeRow(config, main),
    ...apiRow(config, main),
    ...watchRow(config, main),
    ...engineRows(config, main),
  ]
  const key =
    config.apiKey === undefined ? `owner_api_key in ${dataPaths(config.dataDir).secrets}` : 'as WAYPOST_API_KEY says'
  return [
    `Waypost runs (${(tookMs / 1_000).toFixed(1)} s). Ctrl-C stops it.`,
    ...rows.map(([name, place, note]) => `  ${name.padEnd(10)} ${place.padEnd(28)} ${note}`),
    `  API key    ${key}`,
    ...firstSteps(main),
  ].join('\n')
}

type Row = readonly [name: string, place: string, note: string]

const edgeRow = (config: Config, { edge }: Main): readonly Row[] =>
  edge === undefined ? [] : [['edge', urlOf(config.edgeHost, edge.port), 'clicks, events, postbacks, /t.js']]

const apiRow = (config: Config, { apiPort }: Main): readonly Row[] =>
  apiPort === undefined ? [] : [['api', urlOf(config.apiHost, apiPort), '/v1/…, described in /openapi.json']]

const watchRow = (config: Config, { metricsPort }: Main): readonly Row[] =>
  metricsPort === undefined ? [] : [['metrics', urlOf(config.metricsHost, metricsPort), '/metrics, /healthz, /readyz']]

function engineRows(config: Config, { postgresPid }: Main): readonly Row[] {
  const paths = dataPaths(config.dataDir)
  return [
    postgresPid === undefined
      ? ['postgres', 'DATABASE_URL', 'configuration, conversions, money']
      : ['postgres', `process ${postgresPid}`, paths.postgres],
    config.clickhouseUrl === undefined
      ? ['clickhouse', 'inside the main process', paths.clickhouse]
      : ['clickhouse', 'CLICKHOUSE_URL', 'facts for reports'],
    ['event log', 'files', paths.log],
  ]
}

function firstSteps({ edge, configVersion }: Main): readonly string[] {
  if (edge === undefined) return []
  const steps = ['  npm run waypost -- demo            an advertiser, its traffic and its postbacks, within a minute', '  npm run waypost -- apply FILE      your own configuration: docs/quickstart.md'] // prettier-ignore
  return [configVersion <= 1 ? 'Nothing is configured yet. Try first:' : 'Try:', ...steps]
}

/** An address that a person can open: 0.0.0.0 stands for every address of the machine. */
function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
