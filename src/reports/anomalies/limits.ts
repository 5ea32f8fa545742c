/** Bounds of the search for anomalies. The table in docs/limits.md is made of them. */
export const anomalyLimits = {
  rangeHoursMax: 744,
  rangeHoursDefault: 24,
  weeksDefault: 8,
  weeksMin: 4,
  weeksMax: 26,
  samplesMin: 4,
  sensitivityDefault: 4,
  countMinDefault: 20,
  partsMin: 5,
  anomaliesDefault: 5,
  anomaliesMax: 20,
  hoursOfAnomalyMax: 24,
  dimensionsMax: 12,
  explanationsMax: 3,
  valuesOfExplanationMax: 5,
} as const

/** What each limit bounds, and what happens past it. */
export const anomalyLimitMeanings: Readonly<Record<keyof typeof anomalyLimits, string>> = {
  rangeHoursMax: 'Hours that are looked at; past it `request_invalid`',
  rangeHoursDefault: 'Hours that are looked at where `from` is not given: the last whole ones',
  weeksDefault: 'Weeks before an hour that say what is usual, where `weeks` is not given',
  weeksMin: 'Weeks that say what is usual at least; below it `request_invalid`',
  weeksMax: 'Weeks that say what is usual; past it `request_invalid`',
  samplesMin: 'Weeks with data that an hour needs; with fewer it is skipped, and counted as that',
  sensitivityDefault: 'Deviations from the usual that make an anomaly, where `sensitivity` is not given',
  countMinDefault:
    'Count of an hour (of a ratio: of what it is divided by) below which nothing is said of it, where `min_count` is not given',
  partsMin: 'Expected or actual count above the line of a ratio of counts, below which nothing is said of an hour',
  anomaliesDefault: 'Anomalies of an answer where `limit` is not given',
  anomaliesMax: 'Anomalies of an answer; past it `request_invalid`. Of more `is_truncated` says so',
  hoursOfAnomalyMax: 'Hours in a row that are one anomaly; a longer one is several',
  dimensionsMax: 'Dimensions that are searched for an explanation; past it `request_invalid`',
  explanationsMax: 'Dimensions that an anomaly is explained by: the most telling ones',
  valuesOfExplanationMax:
    'Values of a dimension that explain an anomaly; where more would be needed the dimension explains nothing',
}
