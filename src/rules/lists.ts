import { IpSet, parseIpBlock, type IpBlock } from './addresses.ts'
import { fold } from './facts.ts'
import { HostSet } from './hosts.ts'

/** Lists of the configuration by name: words, host names, addresses, whatever the rules that name them compare with. */
export type NamedLists = Readonly<Record<string, readonly string[]>>

export const LIST_NAME = /^[A-Za-z0-9][\w.-]{0,62}$/

/** Named lists, each prepared once for all rules that use it. */
export class RuleLists {
  readonly #lists: ReadonlyMap<string, readonly string[]>
  readonly #words = new Map<string, ReadonlySet<string>>()
  readonly #hosts = new Map<string, HostSet>()
  readonly #addresses = new Map<string, IpSet>()
  readonly #strangers = new Map<string, string | undefined>()

  constructor(lists: NamedLists) {
    this.#lists = new Map(Object.entries(lists))
  }

  get names(): readonly string[] {
    return [...this.#lists.keys()]
  }

  has(name: string): boolean {
    return this.#lists.has(name)
  }

  /** The entries as written; none where there is no such list. */
  entries(name: string): readonly string[] {
    return this.#lists.get(name) ?? []
  }

  /** Entries in lower case. */
  words(name: string): ReadonlySet<string> {
    return kept(this.#words, name, () => new Set(this.entries(name).map(fold)))
  }

  hosts(name: string): HostSet {
    return kept(this.#hosts, name, () => new HostSet(this.entries(name).map(fold)))
  }

  addresses(name: string): IpSet {
    return kept(this.#addresses, name, () => new IpSet(readBlocks(this.entries(name))))
  }

  /** The first entry that is neither address nor block. */
  firstNoAddress(name: string): string | undefined {
    return kept(this.#strangers, name, () => this.entries(name).find((entry) => parseIpBlock(entry) === undefined))
  }
}

function kept<T>(store: Map<string, T>, name: string, make: () => T): T {
  if (store.has(name)) return store.get(name)!
  const made = make()
  store.set(name, made)
  return made
}

/** The blocks of those texts that are any. */
export const readBlocks = (texts: readonly string[]): readonly IpBlock[] =>
  texts.map(parseIpBlock).filter((block) => block !== undefined)

/** What a text of a rule stands for: itself, or a named list. */
export type Reference = { readonly list: string } | { readonly text: string }

/** `@office` is the list of that name, `@@office` the text `@office`. Where there are no named lists at all (rules stored
 * before there were any) every text is itself.
 */
export function readReference(value: string, lists: RuleLists | undefined): Reference {
  if (lists === undefined || !value.startsWith('@')) return { text: value }
  if (value.startsWith('@@')) return { text: value.slice(1) }
  const name = value.slice(1)
  return LIST_NAME.test(name) ? { list: name } : { text: value }
}

/** The value that stands for a text, whatever it begins with. */
export const quoteReference = (text: string): string =>
  text.startsWith('@@') || (text.startsWith('@') && LIST_NAME.test(text.slice(1))) ? `@${text}` : text
