import { runLoad, type LoadRequest, type LoadResult } from './load.ts'
import { processorMicros } from './process-figures.ts'
import { median, roundTo } from './statistics.ts'

export type ComparisonOptions = {
  /** The yardstick. */
  readonly bare: ComparedServer
  readonly ours: ComparedServer
  readonly requests: readonly LoadRequest[]
  readonly rounds: number
  readonly secondsPerRound: number
  readonly connections: number
}

export type ComparedServer = { readonly port: number; readonly pid: number }

/** A round of one server. */
export type Round = LoadResult & {
  /** Processor time of the server, all its threads, for one request. */
  readonly processor_us_per_request: number | undefined
}

export type Comparison = {
  /** Median of the ratios of neighbouring rounds, ours ÷ bare. */
  readonly ratio: number
  readonly connections: number
  readonly bare_requests_per_second: number
  readonly our_requests_per_second: number
  readonly rounds: readonly { readonly bare: Round; readonly ours: Round }[]
}

/** Bare, ours, bare, ours, …: what slows the machine for a while slows both. One round of each before that is not counted.
 * @throws {Error} a server answered with an error: a rate that includes refusals says nothing
 */
export async function compareWithBare(options: ComparisonOptions): Promise<Comparison> {
  const { bare: bareServer, ours: ourServer, secondsPerRound } = options
  const load = async ({ port, pid }: ComparedServer, seconds: number): Promise<Round> => {
    const before = processorMicros(pid)
    const result = await runLoad({ port, seconds, requests: options.requests, connections: options.connections })
    const used = before === undefined ? undefined : processorMicros(pid)! - before
    const perRequest = used === undefined ? undefined : roundTo(used / (result.requests_per_second * seconds), 3)
    return { ...result, processor_us_per_request: perRequest }
  }
  await load(bareServer, Math.min(2, secondsPerRound))
  await load(ourServer, secondsPerRound)
  const rounds: { readonly bare: Round; readonly ours: Round }[] = []
  for (let round = 0; round < options.rounds; round++) {
    const bare = await load(bareServer, secondsPerRound)
    const ours = await load(ourServer, secondsPerRound)
    if (bare.errors + ours.errors > 0) throw new Error(`errors under load: ${JSON.stringify({ bare, ours })}`)
    rounds.push({ bare, ours })
  }
  return {
    ratio: median(rounds.map(({ bare, ours }) => ours.requests_per_second / bare.requests_per_second)),
    connections: options.connections,
    bare_requests_per_second: median(rounds.map(({ bare }) => bare.requests_per_second)),
    our_requests_per_second: median(rounds.map(({ ours }) => ours.requests_per_second)),
    rounds,
  }
}
