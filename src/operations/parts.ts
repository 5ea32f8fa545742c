import type { LogLines } from '#platform/log-lines'

/** What the main process may have running, in the order in which it is stopped: each after what feeds it. */
const STOP_ORDER = [
  'edge', 'optimization', 'history', 'replays', 'notices', 'retention', 'schedules', 'jobs', 'costs', 'rates', 'pipeline', 'delivery', 'api', 'watch page', 'queue lengths', 'configuration', 'event log', 'hot state', 'caps', 'facts',
  'delivery connections',
  'connections', 'postgres',
] as const // prettier-ignore
export type PartName = (typeof STOP_ORDER)[number]

/** What runs, with the way to stop it. A part is added as soon as it runs, so that a start that fails half-way leaves nothing. */
export class Parts {
  readonly #stops = new Map<PartName, () => Promise<unknown>>()
  readonly #logLines: LogLines

  constructor(logLines: LogLines) {
    this.#logLines = logLines
  }

  add(name: PartName, stop: () => Promise<unknown>): void {
    this.#stops.set(name, stop)
  }

  /** Stops every part. One that fails to stop is reported and does not keep the others running. */
  async stop(): Promise<void> {
    for (const name of STOP_ORDER) {
      const stop = this.#stops.get(name)
      this.#stops.delete(name)
      try {
        await stop?.()
        if (stop !== undefined) this.#logLines.debug({ part: name }, 'stopped')
      } catch (error) {
        this.#logLines.error({ err: error, part: name }, 'could not be stopped cleanly')
      }
    }
  }
}
