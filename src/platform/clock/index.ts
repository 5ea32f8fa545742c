export { fixedClock, systemClock } from './clock.ts'
export type { Clock } from './clock.ts'
export { factsMoment, factsYears } from './facts-time.ts'
export { isTimezone } from './timezone.ts'
