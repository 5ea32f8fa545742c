/** Bounds of the reports on behaviour. The table in docs/limits.md is made of them. */
export const behaviourLimits = {
  stepsMax: 10,
  statusesMax: 3,
  wordLengthMax: 100,
  groupsMax: 2,
  rowsDefault: 100,
  rowsMax: 1_000,
  windowSecondsDefault: 2_592_000,
  windowSecondsMax: 31_622_400,
  momentsPerStepMax: 1_000,
  retentionPeriodsDefault: 30,
  retentionPeriodsMax: 90,
  cohortsMax: 366,
  lookbackDaysMax: 366,
  pathLengthDefault: 5,
  pathLengthMax: 10,
  pathsDefault: 20,
  pathsMax: 500,
  momentsPerPathMax: 1_000,
} as const

/** What each limit bounds, and what happens past it. */
export const behaviourLimitMeanings: Readonly<Record<keyof typeof behaviourLimits, string>> = {
  stepsMax: 'Steps of a funnel; at least 2. Past it `request_invalid`',
  statusesMax: 'Statuses of conversions that a step takes',
  wordLengthMax: 'Characters of the type and the name of a step',
  groupsMax: 'Dimensions of `group_by`; past it `request_invalid`',
  rowsDefault: 'Groups of an answer where `limit` is not given',
  rowsMax: 'Groups of an answer; past it `request_invalid`. Of more `is_truncated` says so',
  windowSecondsDefault: 'Seconds from the first step to the last where `window_seconds` is not given',
  windowSecondsMax: 'Seconds from the first step to the last; past it `request_invalid`',
  momentsPerStepMax:
    'Times that a click or visitor is looked at in one step: its first ones. Later ones are as if they had not been',
  retentionPeriodsDefault: 'Days, weeks or months after the first one where `periods` is not given',
  retentionPeriodsMax: 'Days, weeks or months after the first one; past it `request_invalid`',
  cohortsMax: 'Days, weeks or months of the range of a retention; past it `request_invalid`',
  lookbackDaysMax: 'Days before the range in which whoever was there is not new; past it `request_invalid`',
  pathLengthDefault: 'Places of a path where `length` is not given',
  pathLengthMax: 'Places of a path; past it `request_invalid`',
  pathsDefault: 'Paths of an answer where `limit` is not given',
  pathsMax: 'Paths of an answer; past it `request_invalid`. The rest is counted',
  momentsPerPathMax:
    'Rows of a click or visitor that its path is made of: the first ones from its start on, or the last ones before its end',
}
