import type { ShapeSchema } from './check-shape.ts'
import { configurationFileSchema } from './file-schema.ts'

/** One key of the configuration file, for the documentation. */
export type KeyDescription = {
  readonly key: string
  readonly value: string
  /** Empty: none. */
  readonly byDefault: string
  readonly isNeeded: boolean
  readonly description: string
}

/** The keys of the file by the object that they stand in: `file`, `offers`, `offers.prices`, … */
export function describeFileSchema(): ReadonlyMap<string, readonly KeyDescription[]> {
  const tables = new Map<string, readonly KeyDescription[]>()
  describeObject('file', configurationFileSchema as unknown as ShapeSchema, tables)
  return tables
}

function describeObject(name: string, schema: ShapeSchema, tables: Map<string, readonly KeyDescription[]>): void {
  const entries = Object.entries(schema.properties ?? {})
  const needed = new Set(schema.required)
  tables.set(name, entries.map(([key, inner]) => describeKey(key, inner, needed.has(key)))) // prettier-ignore
  for (const [key, inner] of entries) {
    const object = innerObject(inner)
    // An offer writes its fraud settings as the installation does.
    if (object !== undefined && !(name === 'offers.fraud' && tables.has(`fraud.${key}`)))
      describeObject(name === 'file' ? key : `${name}.${key}`, object, tables)
  }
}

/** The object that a key holds, by itself, in a list or by id. */
function innerObject(schema: ShapeSchema): ShapeSchema | undefined {
  const inner = schema.items ?? Object.values(schema.patternProperties ?? {})[0] ?? schema
  return inner.properties === undefined ? undefined : inner
}

const describeKey = (key: string, schema: ShapeSchema, isNeeded: boolean): KeyDescription => ({
  key,
  value: valueText(schema),
  byDefault: schema.default === undefined ? '' : JSON.stringify(schema.default).replaceAll('"', ''),
  isNeeded,
  description: schema.description ?? '',
})

function valueText(schema: ShapeSchema): string {
  if (schema.items !== undefined) return `list of ${valueText(schema.items)}`
  if (schema.patternProperties !== undefined) {
    const [inner] = Object.values(schema.patternProperties)
    const kind = inner?.properties === undefined ? 'words' : 'objects'
    return `${kind} by ${schema.format?.replaceAll('_', ' ') ?? 'word'}`
  }
  if (schema.properties !== undefined) return 'object'
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${word}\``).join(', ')
  if (schema.refersTo !== undefined) return `id in \`${schema.refersTo}\``
  if (schema.type === 'integer') return `${schema.minimum} to ${schema.maximum}`
  if (schema.type === 'boolean') return '`true`, `false`'
  return schema.format === undefined ? 'text' : (formatTexts[schema.format] ?? schema.format)
}

const formatTexts: Readonly<Record<string, string>> = {
  amount: 'decimal such as `12.50`',
  share: 'percentage such as `40%`',
  redirect_url: 'URL with macros',
  currency: 'ISO 4217 code',
  timezone: 'IANA zone',
  event_name: 'event name',
  address_block: 'address or CIDR block',
  rule: 'rule',
  html: 'HTML with macros',
  shared_secret: '8 to 200 characters',
  endpoint_secret: '1 to 512 characters',
  domain: 'host name',
  statuses: 'status or range',
  postback_domain: 'host name',
}
