import { checkFraudSettings, type FraudSettings, type OfferFraud, type OwnRule } from '#fraud'
import { report, type Reading } from './check-shape.ts'
import type { FileFraud, FileOfferFraud } from './file-schema.ts'
import { problem } from './issues.ts'
import { withoutEmpty } from './objects.ts'
import { readClickRule, readRule } from './read-rule.ts'
import type { Tree } from './yaml-tree.ts'

/** Fraud settings as the snapshot has them. Issues go to `reading`; the result then is not used. */
export function readFraud(file: FileFraud, reading: Reading): FraudSettings
export function readFraud(file: FileOfferFraud, reading: Reading): OfferFraud
export function readFraud(file: FileFraud | FileOfferFraud, reading: Reading): FraudSettings | OfferFraud {
  const { divert_to, own_rules, scores, rates, ...others } = file
  const settings = withoutEmpty<OfferFraud>({
    ...others,
    scores: scores && { ...scores },
    rates: rates && { ...rates },
    divert_to: divert_to && readDiversion(divert_to, reading),
    own_rules: own_rules?.flatMap((own) => readOwnRule(own, reading)),
  })
  for (const { path, message } of checkFraudSettings(settings, reading.lists))
    report(reading, placeOf(reading.treeOf.get(file), path), problem('fraud_invalid', message))
  return settings
}

function readDiversion(file: NonNullable<FileFraud['divert_to']>, reading: Reading): FraudSettings['divert_to'] {
  const { offer_id, url } = file
  if ((offer_id === undefined) === (url === undefined))
    report(
      reading,
      reading.treeOf.get(file),
      problem('combination_invalid', 'Clicks are diverted to an offer_id or a url.', 'Keep one of the two.'),
    )
  return offer_id === undefined ? { url: url ?? '' } : { offer_id }
}

/** None where its rule cannot be read, which is reported. */
function readOwnRule(file: NonNullable<FileFraud['own_rules']>[number], reading: Reading): readonly OwnRule[] {
  const { name, sentence, score, at } = file
  const tree = file.rule.rule as Tree
  const rule =
    at === 'conversion'
      ? readRule(tree, reading, { context: at, lists: reading.lists })
      : readClickRule(tree, reading, 'own_rule')
  return rule === undefined ? [] : [withoutEmpty<OwnRule>({ name, sentence, score, at, rule })]
}

/** Down from the settings as far as the path leads. */
function placeOf(tree: Tree | undefined, path: readonly (string | number)[]): Tree | undefined {
  let place = tree
  for (const step of path) {
    const next = place?.kind === 'map' ? place.entries.get(String(step))?.value : itemOf(place, step)
    if (next === undefined) return place
    place = next
  }
  return place
}

const itemOf = (tree: Tree | undefined, step: string | number): Tree | undefined =>
  tree?.kind === 'list' ? tree.items[Number(step)] : undefined
