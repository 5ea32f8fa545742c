/** What the edge takes from one sender at most. Each has a test of its name. */
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

/** What each limit means for who reaches it; docs/limits.md is made of it. */
export const edgeLimitEffects: Readonly<Record<keyof EdgeLimits, string>> = {
  urlCharactersMax: 'Characters of a request target. Longer: 414, nothing is recorded.',
  parametersMax: 'Parameters read of a query, form or JSON object. Further ones are not read.',
  valueCharactersMax: 'Characters of a parameter. Longer: cut.',
  labelCharactersMax: 'Characters of a sub id, label or external click id of a click. Longer: cut.',
  bodyBytesMax: 'Bytes of a body. Larger: 413, nothing is recorded.',
  eventsPerRequestMax: 'Events of one request. More: 413, none of them is recorded.',
  headerBytesMax: 'Bytes of all headers with the request line. More: 431.',
  connectionsMax: 'Open connections. Further ones are closed at once.',
  headersTimeoutMs: 'Milliseconds until the headers are complete. Later: 408, the connection is closed.',
  requestTimeoutMs: 'Milliseconds until the request is complete. Later: 408, the connection is closed.',
  keepAliveTimeoutMs: 'Milliseconds that an idle connection is kept.',
  slowClientCheckMs: 'Milliseconds between two looks for slow clients: the timeouts above may last so much longer.',
  drainTimeoutMs: 'Milliseconds that a stop waits for what is under way. Longer: cut off.',
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
