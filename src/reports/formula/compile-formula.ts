import { FormulaMistake, type Formula, type FunctionName } from './formula.ts'

/** A formula becomes SQL over the sums of a group, its units checked on the way.
 *
 * Sums are integers: counts, money in micros, time in milliseconds. What is made of them by `+ −`, by numbers and by one
 * division stays an exact fraction of two integers and is rounded once, at the end, so that 10.00 ÷ 3 × 3 is 10.00. All else,
 * such as a ratio times an amount, is computed in floating point, whose 15 digits are more than the six decimals that are shown.
 * What is unknown (a divisor of 0) makes the whole unknown; `coalesce` and `if` choose among it.
 */
export type Compiled = Value | Condition

type Value = {
  readonly kind: 'value'
  /** Undefined: a number as it was written, which takes the unit of what stands beside it. */
  readonly unit: Dimension | undefined
  /** Whether it is a whole number of things, as sums of counts are. */
  readonly isCount: boolean
  readonly number: Exact | { readonly kind: 'float'; readonly sql: string }
}

/** num × over ÷ (den × under); without den an integer times a fraction. `num` and `den` are SQL of integers. */
type Exact = {
  readonly kind: 'exact'
  readonly num: string
  readonly den: string | undefined
  readonly over: bigint
  readonly under: bigint
  /** Decimal digits that `num` and `den` have at most. */
  readonly digits: number
}

type Condition = { readonly kind: 'condition'; readonly sql: string }

/** Exponents of money and of time: revenue ÷ clicks is {1, 0}, revenue ÷ cost {0, 0}. */
type Dimension = { readonly money: number; readonly seconds: number }

type ResultUnit = 'count' | 'money' | 'ratio' | 'seconds'

/** A metric that a formula names: an integer column (money in micros, seconds in milliseconds), or a formula itself. */
export type FormulaMetric =
  | { readonly kind: 'column'; readonly sql: string; readonly unit: 'count' | 'money' | 'seconds' }
  | { readonly kind: 'formula'; readonly formula: Formula }

/** @param find the metric of a name; undefined where there is none
 * @throws {FormulaMistake} a name that is not known, units that do not fit, a division by a written 0
 */
export function compileFormula(formula: Formula, find: (name: string) => FormulaMetric | undefined): Compiled {
  return new Compiler(find).part(formula)
}

const PLAIN: Dimension = { money: 0, seconds: 0 }
const units: Readonly<Record<'count' | 'money' | 'seconds', Dimension>> = {
  count: PLAIN,
  money: { money: 1, seconds: 0 },
  seconds: { money: 0, seconds: 1 },
}

/** Integers of a column for one of its unit. */
const scaleOf = ({ money, seconds }: Dimension): Exact['over'] => power(1_000_000n, money) * power(1_000n, seconds)
const power = (base: bigint, exponent: number): bigint => (exponent > 0 ? base ** BigInt(exponent) : 1n)

/** ClickHouse reads a longer number as floating point. */
const FACTOR_MAX = 10n ** 18n
/** 128 bits hold 38 digits, and rounding needs two of them. */
const DIGITS_MAX = 36
const COLUMN_DIGITS = 19

const digitsOf = (factor: bigint): number => factor.toString().length

class Compiler {
  readonly #find: (name: string) => FormulaMetric | undefined

  constructor(find: (name: string) => FormulaMetric | undefined) {
    this.#find = find
  }

  part(formula: Formula): Compiled {
    switch (formula.kind) {
      case 'number':
        return written(formula.value.over, formula.value.under)
      case 'metric':
        return this.#metric(formula)
      case 'negate':
        return negate(this.#value(formula.of))
      case 'arithmetic':
        return this.#arithmetic(formula)
      case 'compare':
        return this.#compare(formula)
      case 'logic': {
        const [left, right] = [this.#condition(formula.left), this.#condition(formula.right)]
        return condition(`(${left} ${formula.op === 'and' ? 'AND' : 'OR'} ${right})`)
      }
      case 'not':
        return condition(`not(${this.#condition(formula.of)})`)
      case 'call':
        return this.#call(formula.name, formula.args, formula.column)
      default:
        return formula satisfies never
    }
  }

  #value(formula: Formula): Value {
    const value = this.part(formula)
    if (value.kind === 'condition')
      throw new FormulaMistake(formula.column, 'a number is needed here, and this is a condition')
    return value
  }

  #condition(formula: Formula): string {
    const value = this.part(formula)
    if (value.kind === 'value')
      throw new FormulaMistake(formula.column, 'a condition such as clicks > 100 is needed here, and this is a number')
    return value.sql
  }

  #metric({ name, column }: Extract<Formula, { kind: 'metric' }>): Compiled {
    const metric = this.#find(name)
    if (metric === undefined) throw new FormulaMistake(column, `there is no metric "${name}"`)
    if (metric.kind === 'formula') return this.part(metric.formula)
    const number = whole(metric.sql, COLUMN_DIGITS)
    return { kind: 'value', unit: units[metric.unit], isCount: metric.unit === 'count', number }
  }

  #arithmetic({ op, left, right, column }: Extract<Formula, { kind: 'arithmetic' }>): Value {
    const [a, b] = [this.#value(left), this.#value(right)]
    switch (op) {
      case '+':
        return add(alike([a, b], column))
      case '-':
        return add(alike([a, negate(b)], column))
      case '*':
        return multiply(a, b)
      case '/':
        return divide(a, b, column)
      default:
        return op satisfies never
    }
  }

  #compare({ op, left, right, column }: Extract<Formula, { kind: 'compare' }>): Condition {
    const [a, b] = alike([this.#value(left), this.#value(right)], column)
    const exact = [integerSql(a!), integerSql(b!)]
    const [x, y] = exact.includes(undefined) ? [floatSql(a!), floatSql(b!)] : exact
    return condition(`(${x} ${op} ${y})`)
  }

  #call(name: FunctionName, args: readonly Formula[], column: number): Value {
    switch (name) {
      case 'if': {
        const [test, ...rest] = args
        const when = this.#condition(test!)
        const [then, otherwise] = sameKind(alike(rest.map((arg) => this.#value(arg)), column))
        return choice([then!, otherwise!], `if(ifNull(${when}, 0), ${then!.sql}, ${otherwise!.sql})`)
      }
      case 'min':
      case 'max': {
        const values = sameKind(alike(args.map((arg) => this.#value(arg)), column))
        const isUnknown = values.map(({ sql }) => `isNull(${sql})`).join(' OR ')
        const all = values.map(({ sql }) => sql).join(', ')
        return choice(values, `if(${isUnknown}, NULL, ${name === 'min' ? 'least' : 'greatest'}(${all}))`)
      }
      case 'coalesce': {
        const values = sameKind(alike(args.map((arg) => this.#value(arg)), column))
        return choice(values, `coalesce(${values.map(({ sql }) => sql).join(', ')})`)
      }
      case 'abs': {
        const [value] = sameKind([this.#value(args[0]!)])
        return choice([value!], `abs(${value!.sql})`)
      }
      case 'round':
        return this.#round(args, column)
      default:
        return name satisfies never
    }
  } // prettier-ignore

  #round([of, decimals]: readonly Formula[], column: number): Value {
    const value = this.#value(of!)
    if (decimals !== undefined && (decimals.kind !== 'number' || decimals.value.under !== 1n || decimals.value.over > 6n))
      throw new FormulaMistake(column, 'round takes a number of decimals from 0 to 6: round(epc, 2)')
    const places = decimals?.kind === 'number' ? Number(decimals.value.over) : 0
    const unit = value.unit ?? PLAIN
    // ClickHouse rounds floating point to even; whole numbers of the last decimal are rounded as people do.
    const step = `${scaleOf(unit)} / ${10 ** places}`
    const steps = `(${floatSql(value)}) / (${step})`
    const sql = `sign(${steps}) * floor(abs(${steps}) + 0.5) * (${step})`
    return { kind: 'value', unit, isCount: value.isCount, number: { kind: 'float', sql } }
  } // prettier-ignore
}

const condition = (sql: string): Condition => ({ kind: 'condition', sql })

const written = (over: bigint, under: bigint): Value => ({
  kind: 'value',
  unit: undefined,
  isCount: under === 1n,
  number: fraction({ ...whole('1', 1), over, under }),
})

const whole = (num: string, digits: number): Exact => ({
  ...{ kind: 'exact', num, den: undefined, over: 1n, under: 1n, digits },
})

/** With a factor in lowest terms, or in floating point where it has too many digits. */
function fraction({ num, den, over, under, digits }: Exact): Value['number'] {
  const shared = gcd(over, under)
  const sign = under < 0n ? -1n : 1n
  const exact: Exact = { ...whole(num, digits), den, over: (sign * over) / shared, under: (sign * under) / shared }
  const factor = magnitude(exact.over) > exact.under ? magnitude(exact.over) : exact.under
  return factor <= FACTOR_MAX && digits + digitsOf(factor) <= DIGITS_MAX
    ? exact
    : { kind: 'float', sql: exactToFloat(exact) }
}

const magnitude = (number: bigint): bigint => (number < 0n ? -number : number)

function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [magnitude(a), magnitude(b)]
  while (y !== 0n) [x, y] = [y, x % y]
  return x === 0n ? 1n : x
}

function negate(value: Value): Value {
  const { number } = value
  if (number.kind === 'float') return { ...value, number: { kind: 'float', sql: `-(${number.sql})` } }
  return { ...value, number: { ...number, over: -number.over } }
}

/** Numbers as they were written take the unit of the others; other units must be equal. */
function alike(values: readonly Value[], column: number): readonly Value[] {
  const unit = values.find((value) => value.unit !== undefined)?.unit
  if (unit === undefined) return values
  return values.map((value) => {
    if (value.unit === undefined) return inUnit(value, unit)
    if (value.unit.money !== unit.money || value.unit.seconds !== unit.seconds)
      throw new FormulaMistake(column, `${unitName(unit)} and ${unitName(value.unit)} cannot stand together here`)
    return value
  })
}

function inUnit(value: Value, unit: Dimension): Value {
  const { number } = value
  const scale = scaleOf(unit)
  if (number.kind === 'float') return { ...value, unit, number: { kind: 'float', sql: `(${number.sql}) * ${scale}` } }
  return { ...value, unit, number: fraction({ ...number, over: number.over * scale }) }
}

/** What a unit is called in a message. */
function unitName({ money, seconds }: Dimension): string {
  if (money === 0 && seconds === 0) return 'a number'
  const name = (word: string, exponent: number): string[] =>
    exponent === 0 ? [] : [exponent === 1 ? word : `${word} to the power of ${exponent}`]
  return [...name('money', money), ...name('time', seconds)].join(' times ')
}

function add([a, b]: readonly Value[]): Value {
  const shape = { kind: 'value', unit: a!.unit ?? b!.unit, isCount: a!.isCount && b!.isCount } as const
  const [x, y] = [a!.number, b!.number]
  const sum = x.kind === 'exact' && y.kind === 'exact' ? addExact(x, y) : undefined
  return { ...shape, number: sum ?? { kind: 'float', sql: `(${floatSql(a!)} + ${floatSql(b!)})` } }
}

/** What has the same divisor; other quotients are added in floating point. */
function addExact(x: Exact, y: Exact): Value['number'] | undefined {
  if (isWritten(x) && isWritten(y))
    return fraction({ ...x, over: x.over * y.under + y.over * x.under, under: x.under * y.under })
  if (x.den !== y.den) return undefined
  const shared = gcd(x.under, y.under)
  const [p, q] = [x.over * (y.under / shared), y.over * (x.under / shared)]
  if ([p, q].some((factor) => magnitude(factor) > FACTOR_MAX)) return undefined
  const digits =
    Math.max(x.digits + digitsOf(p), y.digits + digitsOf(q)) + (magnitude(p) === 1n && magnitude(q) === 1n ? 0 : 1)
  if (digits > DIGITS_MAX) return undefined
  const num = `(${times(x.num, p)} + ${times(y.num, q)})`
  return fraction({ ...x, num, digits, over: 1n, under: (x.under * y.under) / shared })
}

const times = (num: string, factor: bigint): string => {
  if (factor === 1n) return num
  if (factor === -1n) return `-${num}`
  return `toInt128(${num}) * ${factor}`
}

const isWritten = ({ num, den }: Exact): boolean => num === '1' && den === undefined

function multiply(a: Value, b: Value): Value {
  const unit = unitTimes(a.unit, b.unit, 1)
  const shape = { kind: 'value', unit, isCount: a.isCount && b.isCount } as const
  const [x, y] = [a.number, b.number]
  if (x.kind === 'exact' && y.kind === 'exact') {
    if (isWritten(x)) return { ...shape, number: fraction({ ...y, over: x.over * y.over, under: x.under * y.under }) }
    if (isWritten(y)) return { ...shape, number: fraction({ ...x, over: x.over * y.over, under: x.under * y.under }) }
  }
  return { ...shape, number: { kind: 'float', sql: `(${floatSql(a)} * ${floatSql(b)})` } }
}

function divide(a: Value, b: Value, column: number): Value {
  const [x, y] = [a.number, b.number]
  if (y.kind === 'exact' && isWritten(y) && y.over === 0n) throw new FormulaMistake(column, 'this divides by 0')
  const shape = { kind: 'value', unit: unitTimes(a.unit, b.unit, -1), isCount: false } as const
  if (x.kind === 'exact' && y.kind === 'exact') {
    if (isWritten(y)) return { ...shape, number: fraction({ ...x, over: x.over * y.under, under: x.under * y.over }) }
    if (x.den === undefined && y.den === undefined)
      return {
        ...shape,
        number: fraction({
          ...whole(x.num, Math.max(x.digits, y.digits)),
          ...{ den: y.num, over: x.over * y.under, under: x.under * y.over },
        }),
      }
  }
  const by = floatSql(b)
  return { ...shape, number: { kind: 'float', sql: `(${floatSql(a)} / nullIf(${by}, 0))` } }
}

function unitTimes(a: Dimension | undefined, b: Dimension | undefined, sign: 1 | -1): Dimension | undefined {
  if (a === undefined && b === undefined) return undefined
  const [x, y] = [a ?? PLAIN, b ?? PLAIN]
  return { money: x.money + sign * y.money, seconds: x.seconds + sign * y.seconds }
}

type Choosable = Value & { readonly sql: string; readonly isInteger: boolean }

/** Values that stand in each other's place have one type of SQL: all integers, or all floating point. */
function sameKind(values: readonly Value[]): readonly Choosable[] {
  const integers = values.map(integerSql)
  if (!integers.includes(undefined))
    return values.map((value, index) => ({ ...value, sql: integers[index]!, isInteger: true }))
  return values.map((value) => ({ ...value, sql: floatSql(value), isInteger: false }))
}

function choice(values: readonly Choosable[], sql: string): Value {
  const isInteger = values.every((value) => value.isInteger)
  return {
    kind: 'value',
    unit: values.find(({ unit }) => unit !== undefined)?.unit,
    isCount: values.every(({ isCount }) => isCount),
    number: isInteger ? whole(sql, DIGITS_MAX - 1) : { kind: 'float', sql: `(${sql})` },
  }
}

/** Undefined: it is no whole number of its unit's smallest part. */
function integerSql({ number }: Value): string | undefined {
  if (number.kind === 'float' || number.den !== undefined || number.under !== 1n) return undefined
  return number.num === '1' ? `toInt128(${number.over})` : `toInt128(${times(number.num, number.over)})`
}

const floatSql = ({ number }: Value): string => (number.kind === 'float' ? number.sql : exactToFloat(number))

function exactToFloat({ num, den, over, under }: Exact): string {
  const factor = over === 1n && under === 1n ? '' : ` * (toFloat64(${over}) / ${under})`
  // A whole number and a written one need no division, and stay as exact as floating point can be.
  if (den === undefined) return `(toFloat64(${num})${factor})`
  return `(if((${den}) = 0, NULL, (${num}) / (${den}))${factor})`
}

/** The result of a formula in a unit of a report: integers (micros, milliseconds) or a ratio of up to six decimals.
 * @throws {FormulaMistake} it has no such unit, as money times money
 */
export function resultSql(value: Compiled): { readonly unit: ResultUnit; readonly sql: string } {
  if (value.kind === 'condition')
    throw new FormulaMistake(1, 'a formula gives a number, and this is a condition; if(condition, 1, 0) makes it one')
  const unit = resultUnit(value)
  const { number } = value
  if (unit === 'ratio') {
    const isRatioOfSums = number.kind === 'exact' && number.den !== undefined && number.over === 1n && number.under === 1n
    return { unit, sql: isRatioOfSums ? `if((${number.den}) = 0, NULL, round((${number.num}) / (${number.den}), 6))` : `round(${finite(floatSql(value))}, 6)` }
  }
  // NULL for what no 64 bits hold; toInt64 would convert, and refuse, also what lies hidden under a NULL.
  if (number.kind === 'float') return { unit, sql: `accurateCastOrNull(round(${number.sql}), 'Int64')` }
  return { unit, sql: exactResult(number) }
} // prettier-ignore

function exactResult(number: Exact): string {
  const { num, den, over, under } = number
  if (den === undefined && under === 1n) return over === 1n ? num : orNull(times(num, over))
  const n = `toInt128(${num}) * ${over}`
  const d = `toInt128(${den ?? '1'}) * ${under}`
  // Half away from zero.
  const rounded = `intDiv(2 * (${n}) + if(((${n}) < 0) != ((${d}) < 0), -(${d}), ${d}), 2 * if((${d}) = 0, 1, ${d}))`
  return `if((${d}) = 0, NULL, ${orNull(rounded)})`
}

/** NULL for what no 64 bits hold; toInt64 would take the lowest 64 of them. */
const orNull = (integer: string): string => `accurateCastOrNull(${integer}, 'Int64')`

const finite = (sql: string): string => `if(isFinite(${sql}), ${sql}, NULL)`

function resultUnit({ unit = PLAIN, isCount }: Value): ResultUnit {
  const { money, seconds } = unit
  if (money === 0 && seconds === 0) return isCount ? 'count' : 'ratio'
  if (money === 1 && seconds === 0) return 'money'
  if (money === 0 && seconds === 1) return 'seconds'
  throw new FormulaMistake(1, `the result is ${unitName(unit)}, which is neither an amount nor a number nor a time`)
}

/** A condition over a group, false where it is unknown.
 * @throws {FormulaMistake} it is a number
 */
export function conditionSql(value: Compiled): string {
  if (value.kind === 'condition') return `ifNull(${value.sql}, 0)`
  throw new FormulaMistake(1, 'a condition such as clicks > 100 is needed, and this is a number')
}
