import fc from 'fast-check'

import type { FactsClient } from '#platform/clickhouse'

import { askFacts, assertSame } from './compare.ts'
import { factsOf } from './facts-of-world.ts'
import { addWorld } from './load-world.ts'
import { makeWorld } from './make-world.ts'
import { questionsOf, worldTenants } from './questions.ts'
import { readLog } from './read-log.ts'
import { SlowReport } from './reference.ts'

export type ManyPlan = {
  readonly seed: number
  readonly clicks: number
  readonly questions: number
  /** Hears of each step. */
  readonly tell?: (step: string) => void
}

/** A world is made, read and forgotten before the next one is made. */
const CLICKS_PER_WORLD = 20_000
const FIRST_DAY = '2026-10-20'
const DAYS = 12

/** Fills the facts with so many clicks and what follows from them, and compares random reports with the reference.
 * @param facts empty
 * @returns how many facts there were, and rows of answers that agreed
 * @throws {AssertionError} a number of a report is not that of the reference
 */
export async function compareMany(
  facts: FactsClient,
  { seed, clicks, questions, tell = () => undefined }: ManyPlan,
): Promise<{ readonly facts: number; readonly rows: number }> {
  const asked = fc.sample(anyAsked, { seed, numRuns: questions })
  const slow = asked.map(({ tenant, question }) => new SlowReport(tenant, question))
  let added = 0
  for (let from = 0, part = 0; from < clicks; from += CLICKS_PER_WORLD, part++) {
    const size = { clicks: Math.min(CLICKS_PER_WORLD, clicks - from), firstDay: FIRST_DAY, days: DAYS }
    const happened = readLog(makeWorld({ seed: seed * 1_000 + part, ...size }))
    await addWorld(facts, happened)
    for (const fact of factsOf(happened)) {
      for (const report of slow) report.add(fact)
      added++
    }
    tell(`${added} facts`)
  }
  let rows = 0
  for (const [index, { tenant, question }] of asked.entries()) {
    const answer = await askFacts(facts, tenant, question)
    assertSame(answer, slow[index]!.answer(), question)
    rows += answer.rows.length
    tell(`${answer.rows.length} rows of ${question.group_by.join(', ') || 'everything'} agree`)
  }
  return { facts: added, rows }
}

/** Groups that an answer holds all of: it has at most ten thousand. */
const SMALL = new Set(['click_id', 'visitor_code', 'hour', 'user_agent'])

const days = Array.from({ length: DAYS }, (_, day) => new Date(Date.parse(FIRST_DAY) + day * 86_400_000).toISOString().slice(0, 10)) // prettier-ignore

const anyAsked = fc.constantFrom(...worldTenants).chain((tenant) =>
  questionsOf(tenant, days)
    .map((question) => ({ ...question, group_by: question.group_by.filter((name) => !SMALL.has(name)).slice(0, 3) }))
    .map((question) => ({
      tenant,
      question: { ...question, having: question.group_by.length === 0 ? undefined : question.having },
    })),
)
