/** What language and clock of a device say about the country of its address. Both are weak signs: people move and travel. */

/** Languages that many read in a country beside the likeliest one of CLDR. English is taken to be read everywhere. */
const FURTHER_LANGUAGES: Readonly<Record<string, string>> = {
  AD: 'es fr', AE: 'hi ur ml', AF: 'ps', AL: 'it', AM: 'ru', AZ: 'ru', BA: 'hr sr', BE: 'fr de', BG: 'tr ru', BN: 'zh', BO: 'qu',
  BY: 'ru', CA: 'fr zh', CH: 'fr it rm', CY: 'tr ru', CZ: 'sk ru uk', DE: 'tr ru pl uk', DZ: 'fr', EE: 'ru', ES: 'ca eu gl', FI: 'sv ru',
  FR: 'ar pt', GE: 'ru', GT: 'qu', HK: 'zh yue', IE: 'ga pl', IL: 'ru ar', IN: 'bn te mr ta ur gu kn ml pa or as', IR: 'az ku',
  IT: 'de', JP: 'zh', KE: 'sw', KG: 'ru', KW: 'hi ur', KZ: 'ru kk', LB: 'fr', LI: 'de', LK: 'ta', LT: 'ru pl', LU: 'fr de pt', LV: 'ru',
  MA: 'fr', MD: 'ru', ME: 'sr', MG: 'fr', MK: 'sq', MN: 'ru', MO: 'pt', MT: 'it', MX: 'es', MY: 'zh ta', NG: 'ha yo ig', NL: 'tr pl',
  NP: 'hi', NZ: 'zh', PE: 'qu', PH: 'tl', PK: 'en pa ps', PL: 'uk ru', PR: 'es', PY: 'es gn', QA: 'hi ur', RO: 'hu', RS: 'hu hr bs',
  RU: 'tt uk', SA: 'hi ur', SE: 'ar', SG: 'zh ms ta', SI: 'hr', SK: 'hu cs', TH: 'zh', TJ: 'ru', TM: 'ru', TN: 'fr', TR: 'ku ru ar',
  TW: 'zh', UA: 'ru', US: 'es zh', UZ: 'ru', VN: 'zh', XK: 'sr', ZA: 'af zu xh', AU: 'zh', GB: 'pl cy', AT: 'tr', CD: 'fr', CM: 'fr',
  CI: 'fr', SN: 'fr', ET: 'om', ID: 'jv su', IQ: 'ku', EG: 'fr', BD: 'hi',
} // prettier-ignore

/** Codes that mean one language here: old ones, and standards of one tongue. */
const SAME_LANGUAGE: Readonly<Record<string, string>> = {
  nb: 'no', nn: 'no', iw: 'he', in: 'id', fil: 'tl', hr: 'sh', sr: 'sh', bs: 'sh', cmn: 'zh', ji: 'yi', mo: 'ro',
} // prettier-ignore

const sameLanguages = new Map(Object.entries(SAME_LANGUAGE))
const sameLanguage = (language: string): string => sameLanguages.get(language) ?? language

const languagesOfCountry = new Map<string, ReadonlySet<string>>()

/** One entry for each country, of which there are 250. */
function languagesOf(country: string): ReadonlySet<string> {
  const known = languagesOfCountry.get(country)
  if (known !== undefined) return known
  const likeliest = new Intl.Locale(`und-${country}`).maximize().language
  const languages = new Set(['en', likeliest, ...(FURTHER_LANGUAGES[country]?.split(' ') ?? [])].map(sameLanguage))
  languagesOfCountry.set(country, languages)
  return languages
}

const COUNTRY = /^[A-Z]{2}$/

/** Whether a language is foreign to a country. A language of the country's own region (`ru-kz` in KZ) never is; of a country
 * that CLDR does not know, none is.
 * @param language lower case, e.g. `de-at`
 * @param country ISO 3166-1 alpha-2, upper case
 */
export function isLanguageForeign(language: string, country: string): boolean {
  if (!COUNTRY.test(country)) return false
  const parts = language.split('-')
  if (parts.at(-1)!.toUpperCase() === country && parts.length > 1) return false
  const languages = languagesOf(country)
  return languages.size > 1 && !languages.has(sameLanguage(parts[0]!))
}

/** Whether no zone of the country has the time that the device shows. Compared by the difference to UTC, since a zone has many
 * names. A zone or country that is not known says nothing.
 * @param zone IANA, e.g. `Europe/Berlin`
 * @param at milliseconds since the epoch
 */
export function isZoneForeign(zone: string, country: string, at: number): boolean {
  if (!COUNTRY.test(country) || !ZONE.test(zone)) return false
  const offset = offsetOf(zone, at)
  if (offset === undefined) return false
  const offsets = offsetsOf(country, Math.floor(at / HOUR_MS))
  return offsets.size > 0 && !offsets.has(offset)
}

const HOUR_MS = 3_600_000
const ZONE = /^[A-Za-z][\w+/-]{1,63}$/

type HourOfCountry = { readonly hour: number; readonly offsets: ReadonlySet<string> }
const offsetsOfCountry = new Map<string, HourOfCountry>()

/** Kept for the hour asked last: a change of daylight saving falls on an hour. */
function offsetsOf(country: string, hour: number): ReadonlySet<string> {
  const known = offsetsOfCountry.get(country)
  if (known?.hour === hour) return known.offsets
  const zones = zonesOf(country)
  const offsets = new Set(zones.map((zone) => offsetOf(zone, hour * HOUR_MS)).filter((offset) => offset !== undefined))
  offsetsOfCountry.set(country, { hour, offsets })
  return offsets
}

const zonesOf = (country: string): readonly string[] => new Intl.Locale(`und-${country}`).getTimeZones() ?? []

const formats = new Map<string, Intl.DateTimeFormat>()
/** There are fewer than 600 zones, with all their names. */
const FORMATS_MAX = 700

/** Difference to UTC as text, e.g. `GMT+02:00`; undefined for a zone that does not exist. */
function offsetOf(zone: string, at: number): string | undefined {
  const format = formats.get(zone) ?? newFormat(zone)
  if (format === undefined) return undefined
  const text = format.format(at)
  return text.slice(text.lastIndexOf(' ') + 1)
}

function newFormat(zone: string): Intl.DateTimeFormat | undefined {
  let format
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
  } catch {
    return undefined // Whoever sends the zone may have made it up.
  }
  if (formats.size < FORMATS_MAX) formats.set(zone, format)
  return format
}
