-- What endpoints send beyond a URL and a body: headers, many messages in one request, and which of two endpoints speaks.

ALTER TABLE postback_endpoints
  -- True: silent where an endpoint of a narrower scope takes the same.
  ADD COLUMN yields boolean,
  -- The ready-made template that method, URL and body were filled from.
  ADD COLUMN template text,
  ADD COLUMN headers jsonb,
  ADD COLUMN batch jsonb;

-- Filled like URL and body, when the delivery is made: name in lower case → value. NULL: none beyond those that every request has.
ALTER TABLE deliveries ADD COLUMN headers jsonb;
