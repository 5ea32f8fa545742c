import { Round } from './round.ts'

type Host<T extends object> = {
  readonly name: string
  /** Waits until there is room on it. */
  readonly behind: Round<T>
  /** How many of it stand in line. */
  inLine: number
  /** How many were chosen and may not have begun yet. */
  chosen: number
}

/** Who is asked next whether it has something to send: everyone once, in the order of coming. Who is on a host without room stands behind
 * until a request to it has ended: neither a host that is full nor the number of hosts costs those on others anything.
 *
 * Of a host there always stand as many in line as it has room for, or all.
 */
export class RunQueue<T extends object> {
  readonly #roomOn: (host: string) => number
  readonly #line = new Round<T>()
  readonly #hosts = new Map<string, Host<T>>()
  readonly #hostOf = new Map<T, Host<T>>()
  readonly #touched = new Set<Host<T>>()

  /** @param roomOn how many more may be under way to a host */
  constructor(roomOn: (host: string) => number) {
    this.#roomOn = roomOn
  }

  /** Puts an item at the end; one that is there stays where it is. */
  add(item: T, hostName: string): void {
    if (this.#hostOf.has(item)) return
    const host = this.#hostNamed(hostName)
    this.#hostOf.set(item, host)
    this.#putAtEnd(item, host)
  }

  delete(item: T): void {
    const host = this.#hostOf.get(item)
    if (host === undefined) return
    this.#hostOf.delete(item)
    if (!host.behind.delete(item)) this.#takeOut(item, host)
    this.#moveUp(host)
  }

  /** Those that were chosen have begun, as far as they could. */
  begin(): void {
    for (const host of this.#touched) {
      host.chosen = 0
      this.#moveUp(host)
    }
    this.#touched.clear()
  }

  /** The first on a host with room. */
  first(): T | undefined {
    for (;;) {
      const item = this.#line.first()
      if (item === undefined) return undefined
      const host = this.#hostOf.get(item)!
      if (this.#freeOn(host) > 0) return item
      this.#takeOut(item, host)
      host.behind.add(item)
    }
  }

  /** The first is to begin: a place on its host is kept for it until `begin`, and it goes to the end. */
  choose(item: T): void {
    const host = this.#hostOf.get(item)!
    this.#takeOut(item, host)
    host.chosen += 1
    this.#touched.add(host)
    this.#putAtEnd(item, host)
  }

  /** A request to a host has ended. */
  freed(hostName: string): void {
    const host = this.#hosts.get(hostName)
    if (host !== undefined) this.#moveUp(host)
  }

  #freeOn({ name, chosen }: Host<T>): number {
    return this.#roomOn(name) - chosen
  }

  #putAtEnd(item: T, host: Host<T>): void {
    if (host.behind.size > 0) {
      host.behind.add(item)
      return
    }
    this.#line.add(item)
    host.inLine += 1
  }

  #takeOut(item: T, host: Host<T>): void {
    this.#line.delete(item)
    host.inLine -= 1
  }

  #moveUp(host: Host<T>): void {
    const room = this.#freeOn(host)
    while (host.inLine < room) {
      const item = host.behind.first()
      if (item === undefined) break
      host.behind.delete(item)
      this.#line.add(item)
      host.inLine += 1
    }
    if (host.inLine === 0 && host.behind.size === 0 && host.chosen === 0) this.#hosts.delete(host.name)
  }

  #hostNamed(name: string): Host<T> {
    const known = this.#hosts.get(name)
    if (known !== undefined) return known
    const made = { name, behind: new Round<T>(), inLine: 0, chosen: 0 }
    this.#hosts.set(name, made)
    return made
  }
}
