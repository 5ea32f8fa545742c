-- Sums of clicks that most reports ask for, kept beside the rows of each part. ClickHouse takes them by itself where a question has
-- no other columns; they come and go with their part, so that nothing is counted twice and dropping a day drops them.
--
-- They are made when parts are merged and not when rows arrive: an insert costs what it did. The parts of a day are merged into one
-- once nothing has come for some hours.

ALTER TABLE clicks ADD PROJECTION IF NOT EXISTS sums_by_hour (
  SELECT
    toStartOfHour(at), toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, campaign_id, currency,
    count(), countIf(if(campaign_id = '', is_unique_offer, is_unique_campaign)), countIf(campaign_id != '' AND is_unique_campaign),
    countIf(is_unique_offer), countIf(is_unique_global), countIf(bot != ''), countIf(cost_micros != 0), sum(toInt64(cost_micros))
  GROUP BY toStartOfHour(at), toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, campaign_id, currency
);

ALTER TABLE clicks ADD PROJECTION IF NOT EXISTS sums_by_source (
  SELECT
    toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, source_id, ad_campaign_id, creative_id, currency,
    count(), countIf(if(campaign_id = '', is_unique_offer, is_unique_campaign)), countIf(campaign_id != '' AND is_unique_campaign),
    countIf(is_unique_offer), countIf(is_unique_global), countIf(bot != ''), countIf(cost_micros != 0), sum(toInt64(cost_micros))
  GROUP BY toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, source_id, ad_campaign_id, creative_id, currency
);

ALTER TABLE clicks ADD PROJECTION IF NOT EXISTS sums_by_place (
  SELECT
    toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, country, device_type, os, browser, currency,
    count(), countIf(if(campaign_id = '', is_unique_offer, is_unique_campaign)), countIf(campaign_id != '' AND is_unique_campaign),
    countIf(is_unique_offer), countIf(is_unique_global), countIf(bot != ''), countIf(cost_micros != 0), sum(toInt64(cost_micros))
  GROUP BY toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, country, device_type, os, browser, currency
);

ALTER TABLE clicks ADD PROJECTION IF NOT EXISTS sums_by_affiliate (
  SELECT
    toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, campaign_id, affiliate_id, offer_id, currency,
    count(), countIf(if(campaign_id = '', is_unique_offer, is_unique_campaign)), countIf(campaign_id != '' AND is_unique_campaign),
    countIf(is_unique_offer), countIf(is_unique_global), countIf(bot != ''), countIf(cost_micros != 0), sum(toInt64(cost_micros))
  GROUP BY toDate(at, 'UTC'), class = 'click', outcome IN ('redirected', 'shown', 'fallback'), advertiser_id, campaign_id, affiliate_id, offer_id, currency
);

ALTER TABLE clicks MODIFY SETTING
  materialize_projections_on_insert = 0,
  materialize_projections_on_merge = 1,
  min_age_to_force_merge_seconds = 21600,
  min_age_to_force_merge_on_partition_only = 1;

ALTER TABLE events MODIFY SETTING min_age_to_force_merge_seconds = 21600, min_age_to_force_merge_on_partition_only = 1;

ALTER TABLE conversions MODIFY SETTING min_age_to_force_merge_seconds = 21600, min_age_to_force_merge_on_partition_only = 1;

-- A day's rows are some milliseconds apart: half the time to read, which every question about a range does.
ALTER TABLE clicks MODIFY COLUMN at CODEC(T64, LZ4);

ALTER TABLE clicks MATERIALIZE PROJECTION sums_by_hour;
ALTER TABLE clicks MATERIALIZE PROJECTION sums_by_source;
ALTER TABLE clicks MATERIALIZE PROJECTION sums_by_place;
ALTER TABLE clicks MATERIALIZE PROJECTION sums_by_affiliate;
