/** Bounds of what is sent. The table in docs/limits.md is made of them. */
export const postbackLimits = {
  /** Longest request target that common servers accept; a longer one would be refused by most receivers with 414. */
  urlCharactersMax: 8_192,
  /** Standard Webhooks asks for less than 20 KB; 64 KiB leaves room for templates and bounds the table. */
  bodyBytesMax: 65_536,
  templateCharactersMax: 16_384,
  headersMax: 20,
  headerTemplateCharactersMax: 2_048,
  /** With the 16 KiB that servers take there is room for the headers that every request has. */
  headerBytesMax: 8_192,
  batchEventsMax: 10_000,
  batchWaitMsMax: 300_000,
  batchBytesMax: 10_485_760,
} as const

/** What each limit bounds, and what happens past it. */
export const postbackLimitMeanings: Readonly<Record<keyof typeof postbackLimits, string>> = {
  urlCharactersMax: 'Characters of a filled URL. Longer: not sent, `request_too_large`.',
  bodyBytesMax: 'Bytes of a filled body. Longer: not sent, `request_too_large`.',
  templateCharactersMax: 'Characters of a template. Longer: the configuration is refused.',
  headersMax: 'Headers of an endpoint. More: the configuration is refused.',
  headerTemplateCharactersMax: 'Characters of the template of a header. Longer: the configuration is refused.',
  headerBytesMax: 'Bytes of all filled headers of an endpoint. More: not sent, `request_too_large`.',
  batchEventsMax: 'Messages of one request. `max_events` of an endpoint may be less.',
  batchWaitMsMax: 'Milliseconds that a message waits for others. `max_wait_ms` of an endpoint may be less.',
  batchBytesMax:
    'Bytes of a body of many messages. `max_bytes` of an endpoint may be less; one message alone is always sent.',
}
