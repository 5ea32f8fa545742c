/** What a rule may hold at most. Every condition is tried on every click, so that these bound what a click can cost. */
export const ruleLimits = {
  /** Levels of the tree; a single condition is one. */
  depth_max: 32,
  conditions_max: 1_000,
  /** Values of one condition, entries of one named list. */
  values_max: 100_000,
  /** Values of all conditions of a rule together. */
  total_values_max: 1_000_000,
  /** Characters of one value; of a pattern. */
  value_length_max: 255,
  pattern_length_max: 500,
  /** Instructions of a compiled pattern: repetitions multiply, `(a{100}){100}` is short and huge. */
  pattern_size_max: 2_000,
  /** Patterns of one rule: each keeps an automaton in memory. */
  patterns_max: 100,
  /** Characters of a rule's text form. */
  text_length_max: 4_000_000,
  /** Mistakes reported at once. */
  errors_max: 50,
} as const

/** What each limit bounds, for docs/rules.md. */
export const ruleLimitMeanings: Readonly<Record<keyof typeof ruleLimits, string>> = {
  depth_max: 'Levels of a rule; a single condition is one. The text form takes twice as many parentheses and `not`.',
  conditions_max: 'Conditions of a rule.',
  values_max: 'Values of one condition, entries of one named list.',
  total_values_max: 'Values of all conditions of a rule, entries of named lists not counted.',
  value_length_max: 'Characters of a value.',
  pattern_length_max: 'Characters of a regular expression.',
  pattern_size_max: 'Steps of a compiled regular expression: repetitions multiply them.',
  patterns_max: 'Regular expressions of a rule.',
  text_length_max: 'Characters of the text form.',
  errors_max: 'Mistakes told at once.',
}
