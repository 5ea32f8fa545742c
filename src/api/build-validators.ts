import { AjvCompiler, type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import type { FastifyRequest } from 'fastify'

/** The other kind is for another language of schemas. */
type Options = Extract<Parameters<BuildCompilerFromPool>[1], { readonly mode?: never }>

/** Texts of an address are read as what their schema says. JSON says itself what it is: in a body `"500"` is no number and `null` no 0. */
export function buildValidators(): BuildCompilerFromPool {
  const build = AjvCompiler()
  return (schemas, options) => {
    const { customOptions, ...others } = options as Options
    const ofText = build(schemas, options)
    const ofJson = build(schemas, { ...others, customOptions: { ...customOptions, coerceTypes: false } })
    return (part) => ((part as { readonly httpPart?: string }).httpPart === 'body' ? ofJson(part) : ofText(part))
  }
}

/** Lets a property of a body be what an address says, since people take it from there: a text for a number, one value for a list of one.
 * What cannot be read so is left to the schema of the body.
 * @param schema of the property; an object
 */
export const asInAddress =
  (name: string, schema: object) =>
  async (request: FastifyRequest): Promise<void> => {
    const value = (request.body as Readonly<Record<string, unknown>> | null | undefined)?.[name]
    if (typeof value === 'object' && value !== null) request.validateInput(value, schema)
    return Promise.resolve()
  }
