import { Counter, Gauge, Histogram, Registry } from 'prom-client'

import type { BatchCounts } from './batch.ts'

/** What the pipeline tells Prometheus. A registry of its own, so that two pipelines of one process do not mix. */
export type PipelineMetrics = {
  readonly registry: Registry
  readonly countRecords: (partition: string, counts: BatchCounts) => void
  readonly countConversions: (outcome: string) => void
  readonly setLag: (partition: string, records: number) => void
  readonly setAge: (partition: string, ms: number) => void
  readonly timeStep: (step: string, ms: number) => void
} & CapMetrics

/** What the settlement of caps tells. */
export type CapMetrics = {
  readonly countSettled: (conversions: number) => void
  readonly countExpiredHolds: (holds: number) => void
  readonly setCapLag: (lag: CapLag) => void
}

/** Revisions of conversions that caps have not counted yet, and for how long the oldest of them has waited. */
export type CapLag = { readonly revisions: number; readonly seconds: number; readonly isWhole: boolean }

/** Seconds: from a few records to a full batch on a busy machine. */
const STEP_BUCKETS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

export function createPipelineMetrics(): PipelineMetrics {
  const registry = new Registry()
  const registers = [registry]
  const records = new Counter({
    name: 'waypost_pipeline_records_total',
    help: 'Records of the log by what became of them.',
    labelNames: ['partition', 'outcome'],
    registers,
  })
  const conversions = new Counter({
    name: 'waypost_pipeline_conversions_total',
    help: 'Requests for a conversion by what became of them; a refusal by its reason.',
    labelNames: ['outcome'],
    registers,
  })
  const lag = new Gauge({
    name: 'waypost_pipeline_lag_records',
    help: 'Records in the log that are not in the reports yet.',
    labelNames: ['partition'],
    registers,
  })
  const age = new Gauge({
    name: 'waypost_pipeline_age_seconds',
    help: 'Time from the append of the newest record written to its appearance in the reports.',
    labelNames: ['partition'],
    registers,
  })
  const steps = new Histogram({
    name: 'waypost_pipeline_step_seconds',
    help: 'Duration of a step for one batch.',
    labelNames: ['step'],
    buckets: STEP_BUCKETS,
    registers,
  })
  const settled = new Counter({
    name: 'waypost_caps_settled_total',
    help: 'Revisions of conversions counted in caps.',
    registers,
  })
  const expired = new Counter({
    name: 'waypost_caps_holds_expired_total',
    help: 'Holds of clicks that ended without a conversion, counted when they are swept.',
    registers,
  })
  const capLag = new Gauge({
    name: 'waypost_caps_settle_lag_revisions',
    help: 'Revisions of conversions that caps have not counted yet, at most 100001.',
    registers,
  })
  const capLagSeconds = new Gauge({
    name: 'waypost_caps_settle_lag_seconds',
    help: 'Time since the oldest revision that caps have not counted yet; 0: there is none.',
    registers,
  })
  const isWhole = new Gauge({
    name: 'waypost_caps_whole',
    help: '0 while clicks and conversions that a power cut took from the counts are counted again, else 1.',
    registers,
  })
  return {
    registry,
    countRecords: (partition, counts) => {
      for (const [outcome, count] of Object.entries(counts)) if (count > 0) records.inc({ partition, outcome }, count)
    },
    countConversions: (outcome) => conversions.inc({ outcome }),
    setLag: (partition, count) => lag.set({ partition }, count),
    setAge: (partition, ms) => age.set({ partition }, ms / 1000),
    countSettled: (conversions) => settled.inc(conversions),
    countExpiredHolds: (holds) => expired.inc(holds),
    setCapLag: (lag) => {
      capLag.set(lag.revisions)
      capLagSeconds.set(lag.seconds)
      isWhole.set(lag.isWhole ? 1 : 0)
    },
    timeStep: (step, ms) => steps.observe({ step }, ms / 1000),
  }
}
