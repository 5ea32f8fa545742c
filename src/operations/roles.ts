import { WaypostError } from '#platform/errors'

/** What a process can be. */
export const roles = ['edge', 'pipeline', 'delivery', 'api'] as const
export type Role = (typeof roles)[number]

/** The roles of the command line: `--role edge,api` or `--role edge --role api`; none given: all.
 * @throws {WaypostError} argument_invalid: there is no such role
 */
export function parseRoles(given: readonly string[]): readonly Role[] {
  const names = given.flatMap((list) => list.split(',')).map((name) => name.trim())
  if (names.length === 0) return roles
  const unknown = names.find((name) => !roles.some((role) => role === name))
  if (unknown === undefined) return roles.filter((role) => names.includes(role))
  throw new WaypostError('argument_invalid', `--role ${unknown}: must be of ${roles.join(', ')}.`)
}
