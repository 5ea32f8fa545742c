/** What a contender of the throughput rows is asked, one after the other. Each is a process of its own. */
export type ContenderInput = {
  /** Of a database of its own; the direct POST and BullMQ have none. */
  readonly databaseUrl: string
  readonly redisPort: number
  /** Addresses of the receiver. */
  readonly origins: readonly string[]
  /** Requests under way at once, for everyone but ours, which has limits of its own. */
  readonly concurrency: number
  /** Only ours: where to leave a CPU profile of each run. */
  readonly profileDir: string | undefined
}

/** Messages by number, `to` exclusive. */
export type Range = { readonly from: number; readonly to: number }

export type Drained = {
  /** From the start of the workers until the last completion was on the disk. */
  readonly seconds: number
  /** Of the contender's process. */
  readonly processorMicros: number
}

/** The questions that every contender answers. */
export type Contender = {
  readonly open: (input: ContenderInput) => Promise<void>
  /** Queues the messages; nothing works on them yet. */
  readonly enqueue: (range: Range) => Promise<void>
  /** Works on everything that was queued and stops. */
  readonly drain: () => Promise<Drained>
  readonly close: () => Promise<void>
}

const CHUNK = 1_000

/** Splits a range into parts of a thousand: what one statement takes well. */
export function* chunksOf({ from, to }: Range): Generator<readonly number[]> {
  for (let start = from; start < to; start += CHUNK)
    yield Array.from({ length: Math.min(CHUNK, to - start) }, (_, index) => start + index)
}

/** Times work and what it costs this process. */
export async function timed(work: () => Promise<void>): Promise<Drained> {
  const before = process.cpuUsage()
  const startedAt = performance.now()
  await work()
  const seconds = (performance.now() - startedAt) / 1000
  const { user, system } = process.cpuUsage(before)
  return { seconds, processorMicros: user + system }
}
