export { didYouMean, suggestWord } from '#platform/words'
