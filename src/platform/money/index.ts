export { MICROS_MAX, MICROS_PER_UNIT, formatAmount, micros, parseAmount, parseCurrency, shareOf } from './money.ts'
export type { Currency, Micros } from './money.ts'
