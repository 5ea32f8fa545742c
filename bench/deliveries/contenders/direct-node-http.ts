/** A direct POST with node:http, which most programs would take: what the shares in the issue were measured against. */
import { createNodeHttpPoster } from '../poster.ts'
import { postDirectly } from './post-directly.ts'

postDirectly(createNodeHttpPoster)
