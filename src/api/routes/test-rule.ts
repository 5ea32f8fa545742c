import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type, type Static, type TObject } from 'typebox'

import { parseClickId } from '#platform/ids'
import { clickOfRow, type ClickRecord } from '#records'
import { findClickFacts } from '#reports'
import { compileSnapshot, type Snapshot } from '#routing'
import {
  compileRule,
  MET,
  parseRule,
  printCondition,
  printRule,
  RuleLists,
  testRule,
  validateRule,
  type Rule,
  type RuleFacts,
  type RuleProblem,
  type TestedRule,
} from '#rules'
import { hypotheticalFacts, recordedFacts } from '#simulation'

import type { Api } from '../api.ts'
import { readableBy } from '../authorize.ts'
import { choiceSchema, chosenConfiguration } from '../chosen-configuration.ts'
import { issuesBody, issuesSchema } from '../configuration-json.ts'
import { errorBody, errorSchema, RequestError } from '../errors.ts'
import { clickSchema, explainerOf, hypotheticalClick } from '../hypothetical-click.ts'
import { apiLimits } from '../limits.ts'
import { instantText, nullable, oneWord, openObject } from '../schemas.ts'
import { findClickRecord } from './inbound-postbacks.ts'

const question = Type.Object(
  {
    rule: Type.Unsafe<unknown>({
      description:
        'The text form, such as `country in (US, GB) and not bot`, or the JSON form; docs/rules.md has both. Fields of clicks only.',
      oneOf: [{ type: 'string' }, { type: 'object' }],
    }),
    click: Type.Optional(
      Type.Object(clickSchema, {
        description: 'A click that nobody made, as for POST /v1/routing/explain',
        additionalProperties: false,
      }),
    ),
    click_id: Type.Optional(Type.String({ description: 'Instead of `click`: one that was recorded', maxLength: 64 })),
    ...choiceSchema,
  },
  { additionalProperties: false },
)

const testedPart = Type.Object({
  path: Type.String({ description: 'As mistakes name it: `rule.all[1].not`' }),
  kind: oneWord(['all', 'any', 'not', 'condition'], 'What it is'),
  is_met: Type.Boolean(),
  text: Type.Optional(Type.String({ description: 'Of a condition: its text form' })),
  field: Type.Optional(Type.String({ description: 'Of a condition: what it asks for' })),
  seen: Type.Optional(
    Type.Unsafe<unknown>({
      description:
        'Of a condition: what the click has there; `null` where it is not known, of `unique` the places where the visitor is new',
    }),
  ),
})

const testedRule = Type.Object({
  is_met: Type.Boolean({ description: 'Whether the rule holds' }),
  failed_path: nullable(Type.String({ description: 'The part that a trace would name; null where the rule holds' })),
  rule: Type.String({ description: 'The rule in its text form' }),
  parts: Type.Array(testedPart, {
    description: 'Every part, also those that no longer count, each `all`, `any` and `not` before what it holds',
  }),
  click_id: Type.String(),
  at: instantText('When the click was'),
  click: openObject('What rules see of the click'),
  config_version: Type.Integer({ description: 'Whose lists counted; of an unsaved one the number that it would get' }),
  is_saved: Type.Boolean({ description: 'Whether that version exists' }),
  notes: Type.Array(Type.String(), { description: 'What the rule could not see' }),
})

const refusedRule = Type.Object({
  ...errorSchema.properties,
  errors: Type.Optional(
    Type.Array(
      Type.Object({
        path: Type.String({ description: 'Such as `rule.all[1].value`' }),
        code: Type.String({ description: 'See docs/rules.md' }),
        message: Type.String({ description: 'What is wrong and what was expected' }),
        column: Type.Optional(Type.Integer({ description: 'Of the text form, from 1' })),
      }),
    ),
  ),
})

/** Whether a rule holds for one click, and which of its parts do. */
export function addTestRuleRoute(plain: FastifyInstance, api: Api): void {
  const server = plain.withTypeProvider<TypeBoxTypeProvider>()

  server.post(
    '/v1/routing/test-rule',
    {
      config: readableBy('owner'),
      bodyLimit: apiLimits.configurationBytesMax,
      schema: {
        tags: ['routing'],
        summary: 'Whether a rule holds for a click, and which of its conditions do; nothing is recorded or reserved',
        body: question,
        response: { 200: testedRule, 400: refusedRule, 422: issuesSchema, '4xx': errorSchema, '5xx': errorSchema },
      },
    },
    async (request, reply) => {
      const { rule: given } = request.body
      const chosen = await chosenConfiguration(api, request.body)
      if (chosen.kind === 'refused') return reply.code(422).send(issuesBody(chosen.issues))
      const { snapshot, isSaved } = chosen
      const lists = snapshot.lists && new RuleLists(snapshot.lists)
      const read = readRule(given, lists)
      if (read.kind === 'invalid') return reply.code(400).send(errorsBody(read.errors))
      const { record, facts, notes } = await findFacts(api, request.body, snapshot)
      return {
        ...verdictOn(read.rule, facts, lists),
        click_id: record.click_id,
        at: new Date(record.at).toISOString(),
        click: seenOf(record),
        config_version: snapshot.version,
        is_saved: isSaved,
        notes: [...notes],
      } as never
    },
  )
}

type ReadRule =
  { readonly kind: 'read'; readonly rule: Rule } | { readonly kind: 'invalid'; readonly errors: readonly RuleProblem[] }

function readRule(given: unknown, lists: RuleLists | undefined): ReadRule {
  const use = { context: 'click', lists } as const
  const read = typeof given === 'string' ? parseRule(given, use) : validateRule(given, 'rule', use)
  return read.kind === 'invalid' ? read : { kind: 'read', rule: read.rule }
}

function errorsBody(errors: readonly RuleProblem[]) {
  const [first] = errors
  return {
    ...(errorBody('rule_invalid', first?.message, first?.path) as { error: never }),
    errors: [...errors],
  }
}

type Question = {
  readonly click?: Static<TObject<typeof clickSchema>> | undefined
  readonly click_id?: string | undefined
}
type Found = { readonly record: ClickRecord; readonly facts: RuleFacts; readonly notes: readonly string[] }

/** @throws {RequestError} both clicks are named, the address is too long, or there is no such click */
async function findFacts(api: Api, { click, click_id: clickId }: Question, snapshot: Snapshot): Promise<Found> {
  if (clickId !== undefined) {
    if (click !== undefined)
      throw new RequestError('request_invalid', 'a recorded click and one that nobody made exclude each other', 'click')
    return findRecorded(api, clickId)
  }
  const made = hypotheticalClick(click ?? {}, api.clock.now())
  const found = hypotheticalFacts(explainerOf(api), compileSnapshot(snapshot), made)
  if (found.kind === 'no_click') throw new RequestError('request_invalid', found.why, 'click.url')
  return found
}

async function findRecorded(api: Api, text: string): Promise<Found> {
  const clickId = parseClickId(text)
  const logged = clickId && findClickRecord(api, clickId)
  const row = clickId && (await findClickFacts(api.facts, { role: 'owner' }, clickId, logged?.at))
  const record = logged ?? (row && clickOfRow(row))
  if (record === undefined) throw new RequestError('request_invalid', 'there is no such click', 'click_id')
  const counted = row && {
    campaign: row['is_unique_campaign'] === true,
    offer: row['is_unique_offer'] === true,
  }
  return { record, ...recordedFacts(record, counted) }
}

function verdictOn(rule: Rule, facts: RuleFacts, lists: RuleLists | undefined) {
  const parts = listTested(testRule(rule, facts, lists))
  const answer = compileRule(rule, lists)(facts)
  return {
    is_met: answer === MET,
    failed_path: answer === MET ? null : parts[answer]!.path,
    rule: printRule(rule),
    parts: parts.map(partJson),
  }
}

const listTested = (tested: TestedRule): readonly TestedRule[] =>
  tested.kind === 'condition' ? [tested] : [tested, ...tested.parts.flatMap(listTested)]

const partJson = (tested: TestedRule) => ({
  path: tested.path,
  kind: tested.kind,
  is_met: tested.isMet,
  ...(tested.kind === 'condition' && { text: printCondition(tested), field: tested.field, seen: tested.seen }),
})

/** What is of no interest to a rule: how the click was decided. */
function seenOf(record: ClickRecord): object {
  const { kind: _kind, trace: _trace, config_version: _version, click_id: _id, at: _at, ...rest } = record
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
}
