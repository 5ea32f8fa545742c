import { AjvCompiler, type BuildCompilerFromPool } from '@fastify/ajv-compiler'

/** The other kind is for another language of schemas. */
type Options = Extract<Parameters<BuildCompilerFromPool>[1], { readonly mode?: never }>

type Part = {
  readonly httpPart?: string
  readonly schema?: { readonly properties?: Readonly<Record<string, unknown>> }
}

/** Texts of an address are read as what their schema says. JSON says itself what it is: in a body `"500"` is no number and `null` no 0,
 * unless it holds the `query` of a report, which people take from an address.
 */
export function buildValidators(): BuildCompilerFromPool {
  const build = AjvCompiler()
  return (schemas, options) => {
    const { customOptions, ...others } = options as Options
    const ofText = build(schemas, options)
    const ofJson = build(schemas, { ...others, customOptions: { ...customOptions, coerceTypes: false } })
    return (part) => (isText(part as Part) ? ofText(part) : ofJson(part))
  }
}

const isText = ({ httpPart, schema }: Part): boolean =>
  httpPart !== 'body' || schema?.properties?.['query'] !== undefined
