/** Limits of the API. docs/api.md lists the same; a test compares the two. */
export const apiLimits = {
  /** Bytes of a request body. */
  bodyBytesMax: 1_048_576,
  /** Bytes of a configuration file. */
  configurationBytesMax: 16_777_216,
  headerBytesMax: 16_384,
  connectionsMax: 1_000,
  /** Until the last byte of a request is there. */
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  /** On stop: until connections that are still busy are cut. */
  drainTimeoutMs: 10_000,
  /** Requests of one API key within a minute. */
  requestsPerMinuteMax: 6_000,
  /** Requests without a valid key from one address within a minute. */
  refusalsPerMinuteMax: 60,
  pageRowsDefault: 50,
  pageRowsMax: 500,
} as const

export type ApiLimits = { readonly [Name in keyof typeof apiLimits]: number }
