import type { Advertiser, Affiliate, Campaign, PostbackEndpoint } from '#routing'
import { RuleLists } from '#rules'
import { report } from './check-shape.ts'
import { checkRelations } from './check-relations.ts'
import { sectionNames, type SectionName } from './file-schema.ts'
import type { Issue } from './issues.ts'
import { withoutEmpty, type ConfigurationState } from './objects.ts'
import { readCampaign, readLink } from './read-campaigns.ts'
import { readEndpoint } from './read-endpoint.ts'
import type { ReadFile } from './read-file.ts'
import { keepRotation } from './read-delivery.ts'
import { readFraud } from './read-fraud.ts'
import { readOffer } from './read-offers.ts'
import { checkRulesLeftBehind } from './check-rules.ts'
import { problem } from './issues.ts'
import { suggestWord } from './suggest.ts'

/** What a file makes of the present configuration. With issues the wanted state is not to be used. */
export type Plan = {
  readonly wanted: ConfigurationState
  /** Objects that the file marks absent and that exist, with where it says so: they are deleted, not retired. */
  readonly removed: readonly Removal[]
  readonly issues: readonly Issue[]
}

export type Removal = { readonly section: SectionName; readonly id: string } & Pick<Issue, 'line' | 'column' | 'path'>

/** Works out the wanted configuration: objects of the file replace those of the same id whole, the others stay, or are
 * retired where the file prunes. Pure.
 */
export function planConfiguration(file: ReadFile, current: ConfigurationState): Plan {
  const wanted = copyOf(current)
  const removed = removeAbsent(file, wanted)
  checkReferences(file, wanted)
  setLists(file, wanted)
  setFraud(file, wanted)
  readObjects(file, wanted)
  if (file.prune) retireOthers(file, wanted)
  setFallback(file, wanted)
  checkRelations(file, wanted, current)
  checkRulesLeftBehind(file, wanted, current)
  return { wanted, removed, issues: inFileOrder(file.reading.issues) }
}

function copyOf(state: ConfigurationState): ConfigurationState {
  const copies = sectionNames.map((name) => [name, new Map<string, unknown>(state[name])])
  return { ...state, ...(Object.fromEntries(copies) as ConfigurationState) }
}

function removeAbsent(file: ReadFile, wanted: ConfigurationState): readonly Removal[] {
  const placeOf = (object: object): Issue =>
    file.reading.file.issueAt(file.reading.treeOf.get(object), 'state', problem('object_has_history', ''))
  const removals: Removal[] = []
  for (const section of sectionNames)
    for (const [id, object] of file[section]) {
      if (object.state !== 'absent' || !wanted[section].delete(id)) continue
      const { line, column, path } = placeOf(object)
      removals.push({ section, id, line, column, path })
    }
  return removals
}

/** Every id in the file must name an object that will exist; one that is broken in the file has its own issue already. */
function checkReferences({ reading, named, ...file }: ReadFile, wanted: ConfigurationState): void {
  for (const { section, id, tree } of reading.references) {
    const isAbsent = file[section].get(id)?.state === 'absent'
    if (!isAbsent && (named[section].has(id) || wanted[section].has(id))) continue
    const nearest = suggestWord(id, [...named[section], ...wanted[section].keys()])
    report(
      reading,
      tree,
      problem(
        'reference_unknown',
        isAbsent ? `"${id}" is marked absent.` : `"${id}" is not in "${section}".`,
        nearest && nearest !== id ? `Did you mean "${nearest}"?` : undefined,
      ),
    )
  }
}

function readObjects(file: ReadFile, wanted: ConfigurationState): void {
  const { reading } = file
  for (const [id, one] of present(file.advertisers)) wanted.advertisers.set(id, advertiser(id, one))
  for (const [id, one] of present(file.affiliates)) wanted.affiliates.set(id, affiliate(id, one))
  for (const [id, one] of present(file.offers)) {
    const { currency = 'USD', timezone = 'UTC' } = wanted.advertisers.get(one.advertiser_id) ?? {}
    wanted.offers.set(id, readOffer(id, one, { currency, timezone }, reading))
  }
  for (const [id, one] of present(file.campaigns)) wanted.campaigns.set(id, readCampaign(id, one, reading))
  for (const [id, one] of present(file.links)) wanted.links.set(id, readLink(id, one, reading))
  for (const [id, one] of present(file.endpoints))
    wanted.endpoints.set(
      id,
      keepRotation(readEndpoint(id, one, ownerOf(one, wanted), reading), wanted.endpoints.get(id), one, reading),
    )
}

const present = <Item extends { readonly state?: string }>(objects: ReadonlyMap<string, Item>): [string, Item][] =>
  [...objects].filter(([, object]) => object.state !== 'absent')

const advertiser = (
  id: string,
  file: ReadFile['advertisers'] extends Map<string, infer Item> ? Item : never,
): Advertiser =>
  withoutEmpty<Advertiser>({
    advertiser_id: id,
    name: file.name ?? id,
    timezone: file.timezone ?? 'UTC',
    currency: file.currency ?? 'USD',
    status: file.status ?? 'active',
    domains: [...new Set(file.domains ?? [])],
    fallback_url: file.fallback_url,
    postback_allow: file.postback_allow,
    retention: file.retention,
  })

const affiliate = (
  id: string,
  file: ReadFile['affiliates'] extends Map<string, infer Item> ? Item : never,
): Affiliate => ({
  affiliate_id: id,
  name: file.name ?? id,
  status: file.status ?? 'active',
  advertiser_ids: [...new Set(file.advertiser_ids ?? [])].sort(),
})

type ScopeIds = { readonly campaign_id?: string; readonly offer_id?: string }

const ownerOf = ({ campaign_id, offer_id }: ScopeIds, wanted: ConfigurationState): string | undefined =>
  wanted.offers.get(offer_id ?? '')?.advertiser_id ?? wanted.campaigns.get(campaign_id ?? '')?.advertiser_id

/** Pruning never deletes what may have clicks or money: it takes it out of service. A link has neither. */
function retireOthers(file: ReadFile, wanted: ConfigurationState): void {
  const others = <Item>(name: SectionName, objects: Map<string, Item>): [string, Item][] =>
    [...objects].filter(([id]) => !file.named[name].has(id))
  for (const [id, one] of others<Advertiser>('advertisers', wanted.advertisers))
    wanted.advertisers.set(id, { ...one, status: 'paused' })
  for (const [id, one] of others<Affiliate>('affiliates', wanted.affiliates))
    wanted.affiliates.set(id, { ...one, status: 'blocked' })
  for (const [id, one] of others('offers', wanted.offers)) wanted.offers.set(id, { ...one, status: 'archived' })
  for (const [id, one] of others<Campaign>('campaigns', wanted.campaigns))
    wanted.campaigns.set(id, { ...one, status: 'paused' })
  for (const [id, one] of others<PostbackEndpoint>('endpoints', wanted.endpoints))
    wanted.endpoints.set(id, { ...one, status: 'paused' })
  for (const [code] of others('links', wanted.links)) wanted.links.delete(code)
}

function setFallback({ fallback, prune }: ReadFile, wanted: ConfigurationState): void {
  if (fallback.kind === 'named' || prune) delete wanted.fallback_url
  if (fallback.kind === 'named' && fallback.url !== undefined) wanted.fallback_url = fallback.url
}

function setFraud({ fraud, prune, reading }: ReadFile, wanted: ConfigurationState): void {
  if (fraud.kind === 'named' || prune) delete wanted.fraud
  if (fraud.kind === 'named' && fraud.settings !== undefined) wanted.fraud = readFraud(fraud.settings, reading)
}

/** Before the objects are read: their rules name the lists. Once there were any, `@` keeps its meaning without them too. */
function setLists({ lists, prune, reading }: ReadFile, wanted: ConfigurationState): void {
  const all = new Map(prune ? [] : Object.entries(wanted.lists ?? {}))
  for (const [name, entries] of lists) {
    if (entries === undefined) all.delete(name)
    else all.set(name, entries)
  }
  if (all.size > 0 || wanted.lists !== undefined) wanted.lists = Object.fromEntries(all)
  reading.lists = wanted.lists && new RuleLists(wanted.lists)
}

const inFileOrder = (issues: readonly Issue[]): readonly Issue[] =>
  [...issues].sort((left, right) => left.line - right.line || left.column - right.column)
