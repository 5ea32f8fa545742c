/** No queue at all: the same messages from memory, as fast as the client and the receiver go. */
import { answerParent } from '../answering-process.ts'
import { affiliateOf, urlOf } from '../configuration.ts'
import { messageOf } from '../message.ts'
import type { Poster } from '../poster.ts'
import { timed, type Contender, type ContenderInput, type Range } from './contender.ts'

/** Answers as a contender that posts with one client. */
export function postDirectly(createPoster: (connections: number) => Poster): void {
  let input: ContenderInput
  let poster: Poster
  let queued: Range = { from: 0, to: 0 }
  answerParent({
    open: async (given: ContenderInput) => {
      input = given
      poster = createPoster(given.concurrency)
      return Promise.resolve()
    },
    enqueue: async (range: Range) => {
      queued = range
      return Promise.resolve()
    },
    drain: () =>
      timed(async () => {
        let next = queued.from
        const postOnes = async (): Promise<void> => {
          while (next < queued.to) {
            const number = next++
            await poster.post(urlOf(number, input.origins), messageOf(number, affiliateOf(number)))
          }
        }
        await Promise.all(Array.from({ length: input.concurrency }, postOnes))
      }),
    close: () => poster.close(),
  } satisfies Contender)
}
