import type { Device } from '#records'
import { isBotUserAgent } from './bots.ts'
import { applyClientHints, type ClientHints } from './client-hints.ts'
import { deviceTypeOf } from './device-type.ts'
import { parseUserAgent } from './parse-user-agent.ts'

/** Longer user agents are read up to here: the longest of the 4 200 known ones has 492 characters, and what an expression's
 * backtracking costs grows with the square of the length.
 */
export const PARSED_LENGTH_MAX = 768

export type DescribedDevice = { readonly device: Device; readonly isBot: boolean }

/** What a user agent and its client hints say. A bot keeps browser and system as it names them, but has no brand or model:
 * it pretends to one.
 */
export function describeDevice(userAgent: string, hints: ClientHints | undefined): DescribedDevice {
  const text = userAgent.slice(0, PARSED_LENGTH_MAX)
  const isBot = isBotUserAgent(text)
  const { browser, system, brand, model } = parseUserAgent(text)
  const device: Device = {
    ...(system && { os: system.family }),
    ...(system?.version.length && { os_version: system.version.join('.') }),
    ...(browser && { browser: browser.family }),
    ...(browser?.version.length && { browser_version: browser.version.join('.') }),
    device_type: isBot ? 'bot' : deviceTypeOf(text),
    ...(!isBot && brand && { device_brand: brand }),
    ...(!isBot && model && { device_model: model }),
  }
  return { device: hints === undefined || isBot ? device : withoutEmpty(applyClientHints(device, hints)), isBot }
}

const withoutEmpty = (device: Device): Device =>
  Object.fromEntries(Object.entries(device).filter(([, value]) => value !== '')) as Device
