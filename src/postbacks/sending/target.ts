import { checkDestination } from './check-destination.ts'

/** Where a request goes, parsed and checked once. */
export class Target {
  readonly url: URL
  readonly origin: string
  /** Path and query. */
  readonly path: string
  /** As checkDestination says for those that may reach private addresses, and for the others; null: nobody asked yet. */
  #wrongForPrivate: string | null | undefined = null
  #wrongForPublic: string | null | undefined = null

  /** @throws {TypeError} it is no URL */
  constructor(url: string | URL) {
    this.url = new URL(url)
    this.origin = this.url.origin
    this.path = this.url.pathname + this.url.search
  }

  /** What is wrong with it; undefined: nothing. */
  wrongFor(allowsPrivate: boolean): string | undefined {
    if (allowsPrivate) {
      if (this.#wrongForPrivate === null) this.#wrongForPrivate = checkDestination(this.url, true)
      return this.#wrongForPrivate
    }
    if (this.#wrongForPublic === null) this.#wrongForPublic = checkDestination(this.url, false)
    return this.#wrongForPublic
  }
}

type Last = { url: string; target: Target }
const lastOf = new WeakMap<object, Last>()

/** The target of a request of an endpoint. Where nothing of a click stands in the URL all its messages go to the same: the last is kept.
 * @throws {TypeError} it is no URL
 */
export function targetOf(endpoint: object, url: string): Target {
  const last = lastOf.get(endpoint)
  if (last?.url === url) return last.target
  const target = new Target(url)
  if (last === undefined) lastOf.set(endpoint, { url, target })
  else Object.assign(last, { url, target })
  return target
}
