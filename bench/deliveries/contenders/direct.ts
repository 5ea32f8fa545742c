/** A direct POST with the HTTP client that our sender is built on. */
import { createPoster } from '../poster.ts'
import { postDirectly } from './post-directly.ts'

postDirectly(createPoster)
