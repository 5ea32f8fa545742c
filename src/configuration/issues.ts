import { templateProblemCodes } from '#postbacks'

/** Everything that can be wrong with a configuration file, one stable code each. docs/configuration.md lists the same. */
export const issueCodes = {
  file_too_large: 'The file is larger than 16 MiB or has more than 1 000 000 values.',
  yaml_invalid: 'The file is no YAML, or uses a part of it that is not supported here.',
  key_unknown: 'There is no such key here.',
  key_missing: 'A key that is needed here is missing.',
  type_wrong: 'The value is of another kind than this key takes.',
  value_not_allowed: 'The value is not one of those that this key takes.',
  value_out_of_range: 'The number, text or list is smaller, shorter, larger or longer than allowed.',
  id_invalid: 'An id is 1 to 63 characters of a-z, 0-9, "_", "." and "-", and starts with a letter or digit.',
  id_duplicate: 'The same id or key is given twice.',
  reference_unknown: 'The id names nothing, neither in the file nor in the installation.',
  reference_foreign: 'The two objects belong to different advertisers.',
  object_in_use: 'The object cannot be removed, because another one names it.',
  object_has_history: 'The object cannot be removed, because conversions, postbacks or bookings name it.',
  amount_invalid: 'An amount is a decimal number from 0 to 9 billion with at most six digits after the point.',
  share_invalid: 'A share is a percentage from 0% to 100% with at most two digits after the point.',
  country_invalid: 'A country is an ISO 3166-1 alpha-2 code in upper case.',
  currency_unknown: 'The currency is no ISO 4217 code.',
  timezone_unknown: 'The time zone is no IANA name such as Europe/Berlin.',
  date_invalid: 'A date is YYYY-MM-DD (midnight in the zone of the advertiser) or ISO 8601 with an offset.',
  date_order: 'The end is not after the start.',
  url_invalid: 'The address is no http or https URL.',
  domain_invalid: 'The domain is neither a host name nor *. and a host name.',
  address_invalid: 'The address is neither an IP address nor a CIDR block.',
  destination_not_allowed:
    'The advertiser has a list of places that its endpoints may send to, and this is none of them.',
  secret_invalid: 'The secret does not have the form asked for.',
  event_name_invalid: 'An event name is 1 to 64 characters of a-z, 0-9, "_", "." and "-".',
  word_ambiguous: 'Two words are the same once written in lower case, and upper and lower case count as equal.',
  rule_invalid: 'The rule is not of a form that can be evaluated.',
  fraud_invalid: 'The value is none that fraud settings take.',
  weights_all_zero: 'All weights are 0, so that nobody would be sent anywhere.',
  weight_missing: 'Some of the regular flows have a weight and others have none.',
  price_unused: 'The pricing model of the offer never uses this price.',
  price_missing: 'The offer has no price that its pricing model could use.',
  combination_invalid: 'Two keys do not go together.',
  macro_of_conversion: 'The macro stands for something that a click does not have yet.',
  body_invalid: 'The body of a postback is no valid JSON once its macros are filled.',
  header_invalid: 'A header of a postback has a name that cannot be set, or a value that no header may have.',
  notice_invalid: 'An endpoint that is told of notices has something that belongs to conversions.',
  batch_invalid: 'What the endpoint sends cannot go with others in one request.',
  ...templateProblemCodes,
} as const

export type IssueCode = keyof typeof issueCodes

/** One mistake in a configuration file. Lines and columns count from 1. */
export type Issue = {
  readonly line: number
  readonly column: number
  /** Where in the file, e.g. `offers.summer.prices[0].payout`. */
  readonly path: string
  readonly code: IssueCode
  /** What is wrong, in one sentence. */
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
}

/** What a check of one value finds wrong; the place is added by whoever knows it. */
export type Problem = { readonly code: IssueCode; readonly message: string; readonly hint?: string }

export const problem = (code: IssueCode, message: string, hint?: string): Problem =>
  hint === undefined ? { code, message } : { code, message, hint }
