import type { DeviceType } from '#records'

/** Kind of device by the words of the user agent; the first that fits decides. */
const TYPES: readonly (readonly [pattern: RegExp, type: DeviceType])[] = [
  // "Xbox" and "PlayStation" come before televisions and computers, whose systems their browsers name as well.
  [/playstation|xbox|nintendo|\bpsp\b|ps vita|\bouya\b|steam deck/i, 'console'],
  [/smart-?tv|google ?tv|apple ?tv|hbbtv|netcast|web0s|webos\.tv|tizen.{0,40}\btv\b|viera|bravia|aquos|\broku\b|crkey|\baft[a-z]{1,4}\b|android ?tv|large screen|\bdtv\b|\btv\b(?!\/safari)|vestel|tivo/i, 'tv'],
  [/apple ?watch|watchos|\bwatch\d|wear ?os|\bsm-r[89]\d\d|galaxy watch/i, 'wearable'],
  [/ipad|tablet(?! pc)|playbook|kindle|\bsilk\b(?!.{0,80}mobile)|nexus (?:7|9|10)\b|\bsm-[tx]\d{3}|\bgt-p\d{4}|\bpad\b|lenovo (?:tb|yt)-|mediapad|matepad|hp-?touchpad/i, 'tablet'],
  [/mobi|iphone|ipod|windows (?:phone|ce)|iemobile|blackberry|\bbb10\b|opera m(?:ini|obi)|symbian|series ?[46]0|nokia|midp|j2me|\bbada\b|kaios|palm|webos\/|up\.browser|harmonyos/i, 'mobile'],
  // Android without "Mobile" is a tablet by Google's convention.
  [/android/i, 'tablet'],
  [/windows|win(?:32|64|nt|9[58])|macintosh|mac ?os|mac_powerpc|x11|linux|cros\b|bsd\b|sunos|beos|haiku|os\/2|amiga/i, 'desktop'],
] // prettier-ignore

/** Device type by a user agent that is no bot's. */
export function deviceTypeOf(userAgent: string): DeviceType {
  return TYPES.find(([pattern]) => pattern.test(userAgent))?.[1] ?? 'other'
}
