import { optimizeLimits } from '#bandit'
import type { Optimize, OptimizedWeights } from '#routing'
import { report, type Reading } from './check-shape.ts'
import { WINDOW_DAYS_DEFAULT, type FileCampaign, type FileOptimize } from './file-schema.ts'
import { problem } from './issues.ts'
import { withoutEmpty } from './objects.ts'
import { shareToBasisPoints } from './value-formats.ts'

/** What a campaign learns, as the snapshot has it. Issues go to `reading`; the result then is not used. */
export function readOptimize(file: FileOptimize, campaign: FileCampaign, reading: Reading): Optimize {
  const weights = [...new Set<OptimizedWeights>(file.weights ?? ['offers'])]
  if (weights.includes('flows')) checkFlows(file, campaign, reading)
  checkArms(weights, campaign, reading)
  return withoutEmpty<Optimize>({
    weights,
    goal: file.goal ?? 'epc',
    mode: file.mode ?? 'on',
    floor_share: file.floor_share === undefined ? undefined : shareToBasisPoints(file.floor_share) / 10_000,
    half_life_hours: file.half_life_hours,
    window_days: file.window_days ?? WINDOW_DAYS_DEFAULT,
  })
}

/** Where flows are not drawn there is no weight to learn, and of a flow that leads elsewhere it is not known what it earns. */
function checkFlows(file: FileOptimize, { flows = [], rotation }: FileCampaign, reading: Reading): void {
  const place = reading.treeOf.get(file)
  if (rotation === 'position') {
    const message = 'The weights of flows are to be learned, and flows are found by position.'
    report(reading, place, problem('combination_invalid', message, 'Set rotation: weight.'), 'weights')
    return
  }
  const drawn = flows.filter(({ kind = 'regular', weight = 0 }) => kind === 'regular' && weight > 0)
  if (drawn.length < 2) {
    const message = 'The weights of flows are to be learned, and fewer than two regular flows have a weight.'
    report(reading, place, problem('combination_invalid', message, 'Give each a weight to begin with.'), 'weights')
  }
  for (const flow of drawn)
    if (flow.offer_id === undefined && flow.offers === undefined) {
      const message = `The weights of flows are to be learned, and "${flow.flow_id}" leads to no offer: what it earns is not known.`
      report(reading, reading.treeOf.get(flow), problem('combination_invalid', message, 'Make it a forced or default flow.')) // prettier-ignore
    }
}

/** Landings of an offer belong to the offer: with too many of them its weights stay, which the state tells. */
function checkArms(weights: readonly OptimizedWeights[], { flows = [] }: FileCampaign, reading: Reading): void {
  const { armsMax } = optimizeLimits
  const regular = flows.filter(({ kind = 'regular' }) => kind === 'regular')
  const check = (count: number | undefined, list: object | undefined): void => {
    if (count === undefined || count <= armsMax) return
    const message = `Weights are learned of ${armsMax} at most, and there are ${count}.`
    report(reading, reading.treeOf.get(list ?? flows), problem('value_out_of_range', message))
  }
  if (weights.includes('flows')) check(regular.length, flows)
  for (const { offers, landings } of flows) {
    if (weights.includes('offers')) check(offers?.length, offers)
    if (weights.includes('landings')) check(landings?.length, landings)
  }
}
