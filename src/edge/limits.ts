/** What the edge takes from one sender at most. docs/limits.md lists the same with what happens beyond; each has a test. */
export type EdgeLimits = {
  /** Longer request targets are answered 414. */
  readonly urlCharactersMax: number
  /** Further query or form parameters are not read. */
  readonly parametersMax: number
  /** Longer values are cut: a click with an overlong label is still a click. */
  readonly valueCharactersMax: number
  /** Sub ids, ids and labels of a click are cut here: their columns and the partners' systems hold no more. */
  readonly labelCharactersMax: number
  /** Larger bodies are answered 413. */
  readonly bodyBytesMax: number
  /** Longer arrays are answered 413 as a whole. */
  readonly eventsPerRequestMax: number
  /** All headers together, the request line included; more is answered 431. */
  readonly headerBytesMax: number
  /** Further connections are closed at once. */
  readonly connectionsMax: number
  /** A client that has not sent its headers by then is answered 408 and cut off. */
  readonly headersTimeoutMs: number
  /** The same for the whole request. */
  readonly requestTimeoutMs: number
  /** An idle connection is closed; longer than the 60 s that load balancers commonly keep theirs open. */
  readonly keepAliveTimeoutMs: number
  /** How often slow clients are looked for: a timeout may last this much longer. */
  readonly slowClientCheckMs: number
  /** At a stop, what is still under way after this is cut off. */
  readonly drainTimeoutMs: number
}

export const edgeLimits: EdgeLimits = {
  urlCharactersMax: 8_192,
  parametersMax: 100,
  valueCharactersMax: 1_024,
  labelCharactersMax: 255,
  bodyBytesMax: 65_536,
  eventsPerRequestMax: 50,
  headerBytesMax: 16_384,
  connectionsMax: 10_000,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  keepAliveTimeoutMs: 65_000,
  slowClientCheckMs: 1_000,
  drainTimeoutMs: 10_000,
}
