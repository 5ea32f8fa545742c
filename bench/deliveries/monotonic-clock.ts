/** Milliseconds of the machine's monotonic clock: the same clock in every process, so that times of two can be compared. */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6
