import type { Config } from '#config'

import { askApi } from './ask-api.ts'

export type Correction = {
  readonly payout: string | undefined
  readonly revenue: string | undefined
  readonly reason: string
}

/** `waypost conversions correct`: corrects what one conversion is worth, by the API of the running installation.
 * @returns exit code: 0
 * @throws {ApiRefusal} what to correct
 */
export async function correctConversion(config: Config, id: string, correction: Correction): Promise<number> {
  const { payout, revenue, reason } = correction
  const path = `/v1/conversions/${encodeURIComponent(id)}/amounts`
  const body = { reason, ...(payout !== undefined && { payout }), ...(revenue !== undefined && { revenue }) }
  const answer = (await askApi(config, path, body, { options })) as Corrected
  const worth = `payout ${answer.payout}, revenue ${answer.revenue} ${answer.currency}`
  process.stdout.write(`The conversion ${id} has ${worth}, as of its revision ${answer.revision}.\n`)
  return 0
}

/** What the options are called by the API. */
const options = { payout: '--payout', revenue: '--revenue', reason: '--reason', conversion_id: 'the id' }

type Corrected = {
  readonly payout: string
  readonly revenue: string
  readonly currency: string
  readonly revision: number
}
