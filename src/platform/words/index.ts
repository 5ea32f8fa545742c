export { didYouMean, suggestWord } from './suggest.ts'
