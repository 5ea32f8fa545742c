import { drawNormal, type Random } from '#platform/random'

/** Times from click to conversion as people make them: lognormal, half of them within ten minutes, whole seconds. */
export const honestCtits = (random: Random, count: number, medianSeconds = 600): number[] =>
  Array.from({ length: count }, () => Math.round(medianSeconds * Math.exp(1.2 * drawNormal(random))))

/** Some of the conversions are not the affiliate's: a program saw them coming and sent a click seconds before. */
export const withInjectedClicks = (random: Random, ctits: readonly number[], share: number): number[] =>
  ctits.map((ctit) => (random() < share ? 1 + Math.floor(random() * 12) : ctit))

/** Some of the conversions are of people who never clicked; their made-up click lies anywhere within a week before. */
export const withSpammedClicks = (random: Random, ctits: readonly number[], share: number): number[] =>
  ctits.map((ctit) => (random() < share ? Math.floor(random() * 7 * 86_400) : ctit))
