import { runLoad, type LoadRequest, type LoadResult } from './load.ts'
import { median } from './statistics.ts'

export type ComparisonOptions = {
  /** The yardstick. */
  readonly barePort: number
  readonly ourPort: number
  readonly requests: readonly LoadRequest[]
  readonly rounds: number
  readonly secondsPerRound: number
  readonly connections: number
}

export type Comparison = {
  /** Median of the ratios of neighbouring rounds, ours ÷ bare. */
  readonly ratio: number
  readonly bare_requests_per_second: number
  readonly our_requests_per_second: number
  readonly rounds: readonly { readonly bare: LoadResult; readonly ours: LoadResult }[]
}

/** Bare, ours, bare, ours, …: what slows the machine for a while slows both. One round of each before that is not counted.
 * @throws {Error} a server answered with an error: a rate that includes refusals says nothing
 */
export async function compareWithBare(options: ComparisonOptions): Promise<Comparison> {
  const load = (port: number, seconds: number): Promise<LoadResult> =>
    runLoad({ port, seconds, requests: options.requests, connections: options.connections })
  await load(options.barePort, Math.min(2, options.secondsPerRound))
  await load(options.ourPort, options.secondsPerRound)
  const rounds: { readonly bare: LoadResult; readonly ours: LoadResult }[] = []
  for (let round = 0; round < options.rounds; round++) {
    const bare = await load(options.barePort, options.secondsPerRound)
    const ours = await load(options.ourPort, options.secondsPerRound)
    if (bare.errors + ours.errors > 0) throw new Error(`errors under load: ${JSON.stringify({ bare, ours })}`)
    rounds.push({ bare, ours })
  }
  return {
    ratio: median(rounds.map(({ bare, ours }) => ours.requests_per_second / bare.requests_per_second)),
    bare_requests_per_second: median(rounds.map(({ bare }) => bare.requests_per_second)),
    our_requests_per_second: median(rounds.map(({ ours }) => ours.requests_per_second)),
    rounds,
  }
}
