/** Limits of the API. The table in docs/api.md is made of them. */
export const apiLimits = {
  bodyBytesMax: 1_048_576,
  configurationBytesMax: 16_777_216,
  headerBytesMax: 16_384,
  connectionsMax: 1_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  drainTimeoutMs: 10_000,
  requestsPerMinuteMax: 6_000,
  refusalsPerMinuteMax: 60,
  pageRowsDefault: 50,
  pageRowsMax: 500,
  narrowedRowsMax: 10_000,
  simulationClicksDefault: 200_000,
  simulationClicksMax: 1_000_000,
  simulationDaysMax: 31,
  simulationTimeoutMs: 120_000,
  capRowsMax: 1_000,
  countsOfCapMax: 10_000,
} as const

export type ApiLimits = { readonly [Name in keyof typeof apiLimits]: number }

/** What each limit bounds, and what happens past it. */
export const apiLimitMeanings: Readonly<Record<keyof typeof apiLimits, string>> = {
  bodyBytesMax: 'Bytes of a request body; past it `body_too_large`',
  configurationBytesMax: 'Bytes of a configuration file sent to `POST /v1/config`; past it `body_too_large`',
  headerBytesMax: 'Bytes of the headers and the address of a request; past it 431',
  connectionsMax: 'Connections at the same time; past it they are closed',
  requestTimeoutMs: 'Milliseconds until the last byte of a request is there; past it 408',
  keepAliveTimeoutMs: 'Milliseconds that an idle connection is kept',
  drainTimeoutMs: 'Milliseconds on stop until connections that are still busy are cut',
  requestsPerMinuteMax: 'Requests of one API key within a minute; past it `rate_limited`',
  refusalsPerMinuteMax: 'Requests without a valid key from one address within a minute; past it `rate_limited`',
  pageRowsDefault: 'Rows of a page where `limit` is not given',
  pageRowsMax: 'Rows of a page at most; past it `request_invalid`',
  narrowedRowsMax:
    'Rows that a page of the logs of inbound postbacks and deliveries looks through where filters are about clicks; past it the page ends, with `next_cursor`',
  simulationClicksDefault:
    'Clicks of a simulation where `clicks_max` is not given; of a larger period a sample is taken',
  simulationClicksMax: 'Clicks of a simulation at most; past it `request_invalid`',
  simulationDaysMax: 'Days of the period of a simulation; past it `request_invalid`',
  simulationTimeoutMs: 'Milliseconds of a simulation; past it `query_too_expensive`',
  capRowsMax: 'Rows of `GET /v1/caps`; of more `is_truncated` says so',
  countsOfCapMax: 'Counts of one cap that `GET /v1/caps` looks at: a sub id may have any number of values',
}
