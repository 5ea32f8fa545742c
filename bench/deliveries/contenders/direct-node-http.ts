/** A direct POST with node:http, which most programs would take. */
import { createNodeHttpPoster } from '../poster.ts'
import { postDirectly } from './post-directly.ts'

postDirectly(createNodeHttpPoster)
