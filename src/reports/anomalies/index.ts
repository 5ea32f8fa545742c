export { findAnomalies, parseAnomalies } from './find-anomalies.ts'
export type {
  Anomalies,
  AnomaliesAnswer,
  Anomaly,
  AnomalyDefaults,
  AskedAnomalies,
  ParsedAnomalies,
} from './find-anomalies.ts'
export { anomalyLimitMeanings, anomalyLimits } from './limits.ts'
