/** BullMQ on a Redis that flushes before every answer. */
import { Queue, Worker } from 'bullmq'
import { answerParent } from '../answering-process.ts'
import { affiliateOf, urlOf } from '../configuration.ts'
import { messageOf } from '../message.ts'
import { createPoster, type Poster } from '../poster.ts'
import { chunksOf, timed, type Contender, type ContenderInput, type Range } from './contender.ts'

type Post = { readonly url: string; readonly body: string }

const QUEUE = 'posts'

let input: ContenderInput
let poster: Poster
let queue: Queue<Post>
let waiting = 0

const connection = (): { readonly host: string; readonly port: number } => ({
  host: '127.0.0.1',
  port: input.redisPort,
})

answerParent({
  open: async (given: ContenderInput) => {
    input = given
    poster = createPoster()
    queue = new Queue<Post>(QUEUE, {
      connection: connection(),
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
    })
    await queue.obliterate({ force: true })
  },
  enqueue: async (range: Range) => {
    for (const numbers of chunksOf(range))
      await queue.addBulk(
        numbers.map((number) => ({
          name: 'post',
          data: { url: urlOf(number, input.origins), body: messageOf(number, affiliateOf(number)) },
        })),
      )
    waiting += range.to - range.from
  },
  drain: async () => {
    let worker: Worker<Post> | undefined
    const drained = await timed(async () => {
      const done = Promise.withResolvers<void>()
      worker = new Worker<Post>(QUEUE, ({ data }) => poster.post(data.url, data.body), {
        connection: connection(),
        concurrency: input.concurrency,
      })
      worker.on('error', (error) => done.reject(error))
      worker.on('failed', (_job, error) => done.reject(error))
      // Told after Redis has answered the move to "completed".
      worker.on('completed', () => {
        waiting -= 1
        if (waiting === 0) done.resolve()
      })
      await done.promise
    })
    await worker?.close()
    return drained
  },
  close: async () => {
    await queue.close()
    await poster.close()
  },
} satisfies Contender)
