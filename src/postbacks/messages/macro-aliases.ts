/** What other systems call the facts of a postback: system → its name → ours, in lower case. A name that means one thing here and another
 * there is in no table: `tid` is a transaction of the advertiser for most and the click for CAKE.
 *
 * Sources: the documentation named in docs/macros.md, and the macros that 383 postback templates of affiliate networks use.
 */
export const macroAliasesByTracker = {
  Keitaro: {
    ...{ subid: 'click_id', sub_id: 'click_id', external_id: 'external_id', sub_id_1: 'sub1', sub_id_30: 'sub30' },
    ...{ payout: 'payout', revenue: 'payout', currency: 'currency', status: 'status', original_status: 'raw_status' },
    ...{ tid: 'txid', source: 'source_id', ad_campaign_id: 'ad_campaign_id', creative_id: 'creative_id' },
    ...{ current_domain: 'domain', connection_type: 'connection', is_using_proxy: 'is_proxy', is_bot: 'is_bot' },
  },
  Binom: {
    ...{ clickid: 'click_id', cnv_id: 'click_id', externalid: 'external_id', t1: 'sub1', t10: 'sub10' },
    ...{ cnv_status: 'status', cnv_status2: 'raw_status', cnv_currency: 'currency' },
  },
  Voluum: {
    ...{ clickid: 'click_id', cid: 'click_id', externalid: 'external_id', var1: 'sub1', var10: 'sub10' },
    ...{ txid: 'txid', et: 'goal' },
  },
  RedTrack: { clickid: 'click_id', ref_id: 'external_id', sum: 'payout', sub1: 'sub1', sub20: 'sub20', type: 'type' },
  BeMob: { clickid: 'click_id', externalid: 'external_id', cv1: 'sub1', cv10: 'sub10', txid: 'txid', cet: 'goal' },
  Everflow: {
    ...{ transaction_id: 'click_id', sub1: 'sub1', sub5: 'sub5', source_id: 'source_id', sale_amount: 'sale_amount' },
    ...{ order_id: 'txid', amount: 'payout' },
  },
  TUNE: {
    ...{ transaction_id: 'click_id', aff_click_id: 'external_id', aff_sub: 'sub1', aff_sub2: 'sub2', aff_sub5: 'sub5' },
    ...{ aff_id: 'affiliate_id', goal_id: 'goal', conversion_unique_id: 'txid', source: 'source_id' },
  },
  Affise: {
    ...{ clickid: 'click_id', click_id: 'click_id', pid: 'affiliate_id', sum: 'payout', transactionid: 'txid' },
    ...{ action_id: 'txid', goal: 'goal', sub8: 'sub8', ref_id: 'external_id', order_sum: 'sale_amount' },
  },
  Trackier: {
    ...{ click_id: 'click_id', p1: 'sub1', p10: 'sub10', pub_id: 'affiliate_id', txn_id: 'txid', goal_value: 'goal' },
  },
  CAKE: { s2: 'sub2', s6: 'sub6', price: 'payout', leadid: 'txid' },
  'affiliate networks': {
    ...{ payout_amount: 'payout', payment: 'payout', commission: 'payout', income: 'payout', money: 'payout' },
    ...{ cash: 'payout', reward: 'payout', payout_currency: 'currency', offer_currency: 'currency' },
    ...{ conv_status: 'status', order_status: 'status', action_status: 'status' },
    ...{ conversiontype: 'type', conversion_type: 'type', event_type: 'goal' },
    ...{ lead_id: 'txid', trans_id: 'txid', rebill_id: 'txid' },
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>

/** Every such name with ours. */
export const trackerAliases: ReadonlyMap<string, string> = new Map(
  Object.values(macroAliasesByTracker).flatMap((names): [string, string][] => Object.entries(names)),
)
