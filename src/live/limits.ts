/** Limits of the live stream. The table in docs/limits.md is made of them. */
export const liveLimits = {
  pollMs: 1_000,
  minutePollTicks: 5,
  watchedSeconds: 30,
  watchedMinutes: 5,
  pastSecondsMax: 600,
  pastMinutesMax: 360,
  pastWindowsDefault: 60,
  topMax: 50,
  topDefault: 10,
  rowsPerSecondMax: 100,
  rowsPerSecondDefault: 10,
  streamsPerKeyMax: 10,
  streamsMax: 100,
  heartbeatTicks: 15,
  keyCheckTicks: 5,
  unconfirmedKeyMsMax: 60_000,
  pendingWindowsMax: 1_000,
  slowReaderMsMax: 60_000,
  retryMs: 2_000,
} as const

export type LiveLimits = { readonly [Name in keyof typeof liveLimits]: number }

export const liveLimitMeanings: Readonly<Record<keyof typeof liveLimits, string>> = {
  pollMs: 'Milliseconds between two looks at the facts; a look that takes longer leaves out the next ones.',
  minutePollTicks: 'Looks at seconds for each look at minutes.',
  watchedSeconds: 'Seconds that are looked at again: what comes later is in the minutes and in the reports.',
  watchedMinutes: 'Minutes that are looked at again: what comes later is in the reports.',
  pastSecondsMax: 'Seconds of the past that a stream begins or resumes with at most.',
  pastMinutesMax: 'Minutes of the past that a stream begins or resumes with at most.',
  pastWindowsDefault: 'Seconds or minutes of the past that a stream begins with.',
  topMax: 'Values of a dimension in each window at most. More: `request_invalid`.',
  topDefault: 'Values of a dimension in each window where `top` is not given.',
  rowsPerSecondMax: 'Rows of each kind a second that a stream can ask for. More: `request_invalid`.',
  rowsPerSecondDefault: 'Rows of each kind a second where `rate` is not given; of more a sample is sent.',
  streamsPerKeyMax: 'Streams of one API key at the same time. Further ones: `rate_limited`.',
  streamsMax: 'Streams of a process at the same time. Further ones: `rate_limited`.',
  heartbeatTicks: 'Looks after which a quiet stream gets a comment, so that no proxy takes it for dead.',
  keyCheckTicks: 'Looks for each question whether the keys still hold.',
  unconfirmedKeyMsMax:
    'Milliseconds that a stream goes on while PostgreSQL does not say whether its key holds. Longer: it ends.',
  pendingWindowsMax: 'Windows that wait for a slow reader, the newest state of each. More: the oldest are dropped.',
  slowReaderMsMax: 'Milliseconds that a reader may take nothing. Longer: the stream ends.',
  retryMs: 'Milliseconds that a client is told to wait before it connects again.',
}
