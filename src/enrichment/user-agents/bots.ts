import { isbot } from 'isbot'
import type { BotReason, Place } from '#records'

/** Automation that isbot 5 takes for people, each named by its maker. */
const FURTHER_BOTS = /\b(?:GTmetrix|Miniature\.io|YLT Chrome|TSM-turingos|HeadlessChrome)\b/

/** Whether a user agent names itself a robot, a library or a tool. */
export const isBotUserAgent = (userAgent: string): boolean => isbot(userAgent) || FURTHER_BOTS.test(userAgent)

/** Why a visitor is taken for a bot, undefined for a person. A data centre alone is no reason: people come from there through
 * VPNs, company gateways and relays. Together with a missing Accept-Language it is one, since every browser sends that header
 * and few scripts do.
 */
export function botReasonOf(visitor: {
  readonly userAgent: string | undefined
  readonly isBotUserAgent: boolean
  readonly language: string | undefined
  readonly place: Place
}): BotReason | undefined {
  if (visitor.userAgent === undefined) return 'empty_user_agent'
  if (visitor.isBotUserAgent) return 'user_agent'
  const { is_hosting, is_proxy } = visitor.place
  return is_hosting && !is_proxy && visitor.language === undefined ? 'datacentre' : undefined
}
