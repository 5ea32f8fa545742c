import type { IncomingMessage } from 'node:http'

import type { TrafficClass } from '#records'

/** Programs that open a link to show a preview of it in a message or a post. */
const PREVIEW_AGENTS =
  /facebookexternalhit|facebookcatalog|facebot|meta-externalagent|twitterbot|telegrambot|whatsapp|slackbot|slack-imgproxy|linkedinbot|discordbot|skypeuripreview|viber|vkshare|pinterestbot|redditbot|line-poker|kakaotalk-scrap|google-pagerenderer|mastodon|bluesky cardyb|iframely|embedly|bitlybot|snapchat ads|okhttp\/.*signal/i

const isPrefetch = (value: string | string[] | undefined): boolean =>
  value !== undefined && String(value).includes('prefetch')

/** How a request for a link is counted. Only `click` is a person who follows the link:
 * - `head`: a method HEAD, as monitors and link checkers send;
 * - `prefetch`: the browser loads ahead (`Sec-Purpose`, `Purpose`, `X-Purpose`, `X-Moz`);
 * - `preview`: a messenger or network draws a card of the link.
 */
export function classifyTraffic(request: IncomingMessage): TrafficClass {
  if (request.method === 'HEAD') return 'head'
  const { headers } = request
  if (isPrefetch(headers['sec-purpose']) || isPrefetch(headers['purpose']) || isPrefetch(headers['x-moz'])) {
    return 'prefetch'
  }
  if (headers['x-purpose'] === 'preview' || headers['purpose'] === 'preview') return 'preview'
  const userAgent = headers['user-agent']
  return userAgent !== undefined && PREVIEW_AGENTS.test(userAgent) ? 'preview' : 'click'
}
