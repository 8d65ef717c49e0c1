-- The purchase journal. Times are timestamptz with microseconds, by this database's clock.
-- Every name is qualified, because a pooler in transaction mode does not keep search_path.
-- The name of the schema is a setting. The gateway replaces "gigagate." with it.
--
-- Two queries for operators:
--
--   Purchases that need a human, oldest first:
--
--     SELECT id, caller, request_id, reason, anomalies, now() - claimed_at AS age
--       FROM gigagate.purchase
--      WHERE state = 'NEEDS_OPERATOR' OR anomalies > 0
--      ORDER BY id;
--
--   The history of one request:
--
--     SELECT e.sequence, e.at, e.event, e.attempt, e.verdict, e.state, e.reason, e.evidence, e.by_whom
--       FROM gigagate.purchase p JOIN gigagate.purchase_event e ON e.purchase_id = p.id
--      WHERE p.caller = 'default' AND p.request_id = 'order-4711'
--      ORDER BY e.sequence;
--
-- Only purchase_secret holds personal data and the vendor's answers with their activation codes. They
-- can be purged. The key stays, so a late retry still learns the outcome and never buys again. This
-- statement purges purchases that were settled more than 90 days ago:
--
--     UPDATE gigagate.purchase_secret s SET customer_email = NULL, user_ip = NULL, sale = NULL, purged_at = now()
--       FROM gigagate.purchase p
--      WHERE p.id = s.purchase_id AND s.purged_at IS NULL AND p.settled_at < now() - interval '90 days';
--
-- Rows of purchase and purchase_event are kept for ever. Once the tables exist, the gateway's role
-- needs USAGE on the schema and SELECT, INSERT and UPDATE on its tables. It never deletes rows.

CREATE TABLE gigagate.purchase (
    id                   text COLLATE "C" NOT NULL PRIMARY KEY, -- a ULID, which sorts by time
    -- The caller and its own id for the request, compared byte for byte.
    caller               text COLLATE "C" NOT NULL,
    request_id           text COLLATE "C" NOT NULL,
    account              text COLLATE "C" NOT NULL,  -- the vendor account that pays
    -- These three are copied from order_json for the indexes.
    kind                 text COLLATE "C" NOT NULL,
    mode                 text COLLATE "C" NOT NULL,  -- the effective mode
    ordered_customer_uid text COLLATE "C",
    order_json           json NOT NULL,              -- json keeps the text as it was written; jsonb would not

    state                text COLLATE "C" NOT NULL
        CHECK (state IN ('SENDING', 'ACCEPTED', 'UNCERTAIN', 'NEEDS_OPERATOR', 'SUCCEEDED', 'FAILED')),
    reason               text COLLATE "C",
    attempt              integer NOT NULL CHECK (attempt >= 1),   -- number of permits given so far
    revision             integer NOT NULL CHECK (revision >= 1),  -- number of entries in its history
    claimed_at           timestamptz NOT NULL,
    permitted_at         timestamptz NOT NULL,  -- the newest permit
    send_not_after       timestamptz NOT NULL,  -- after this time the first byte must not leave
    lease_until          timestamptz NOT NULL,  -- after this time the owner of SENDING or ACCEPTED counts as dead
    success_seen         boolean NOT NULL,      -- if true, it is never presumed absent
    anomalies            integer NOT NULL CHECK (anomalies >= 0),
    item_uid             text COLLATE "C",
    customer_uid         text COLLATE "C",
    updated_at           timestamptz NOT NULL,
    settled_at           timestamptz,

    CONSTRAINT purchase_key UNIQUE (caller, request_id),
    CONSTRAINT purchase_named CHECK (id <> '' AND caller <> '' AND request_id <> '' AND item_uid <> ''),
    CONSTRAINT purchase_settled CHECK ((state IN ('SUCCEEDED', 'FAILED')) = (settled_at IS NOT NULL)),
    CONSTRAINT purchase_bound CHECK ((state = 'SUCCEEDED') = (item_uid IS NOT NULL)),
    CONSTRAINT purchase_sold_to CHECK (customer_uid IS NULL OR state = 'SUCCEEDED'),
    CONSTRAINT purchase_reasoned CHECK ((state IN ('FAILED', 'NEEDS_OPERATOR')) = (reason IS NOT NULL)),
    CONSTRAINT purchase_permitted CHECK (send_not_after >= permitted_at)
);

-- A package belongs to at most one purchase.
CREATE UNIQUE INDEX purchase_item ON gigagate.purchase (account, item_uid) WHERE item_uid IS NOT NULL;
-- For TakeLapsed: leases that may be over.
CREATE INDEX purchase_owned ON gigagate.purchase (lease_until) WHERE state IN ('SENDING', 'ACCEPTED');
-- For Watched: purchases to look for in the vendor's records.
CREATE INDEX purchase_watched ON gigagate.purchase (id)
    WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR');
CREATE INDEX purchase_absent ON gigagate.purchase (settled_at, id)
    WHERE state = 'FAILED' AND reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR');
-- For Witnesses: sales that show whether the vendor's records are complete.
CREATE INDEX purchase_witness ON gigagate.purchase (account, kind, mode, permitted_at) WHERE state = 'SUCCEEDED';
-- For lists by time and by customer. Lists of unsettled purchases use the indexes above. Other lists use the primary key.
CREATE INDEX purchase_claimed ON gigagate.purchase (claimed_at);
CREATE INDEX purchase_sold ON gigagate.purchase (customer_uid, id) WHERE customer_uid IS NOT NULL;
CREATE INDEX purchase_ordered ON gigagate.purchase (ordered_customer_uid, id) WHERE ordered_customer_uid IS NOT NULL;
-- For the operator's query: purchases with an anomaly.
CREATE INDEX purchase_anomalous ON gigagate.purchase (id) WHERE anomalies > 0;

CREATE TABLE gigagate.purchase_event (
    purchase_id  text COLLATE "C" NOT NULL REFERENCES gigagate.purchase,
    sequence     integer NOT NULL CHECK (sequence >= 1),  -- the purchase's revision after the event
    at           timestamptz NOT NULL,
    event        text COLLATE "C" NOT NULL,
    attempt      integer NOT NULL CHECK (attempt >= 1),   -- the send that the event is about
    verdict      text COLLATE "C" NOT NULL CHECK (verdict IN ('MOVES', 'STAYS', 'CONTRADICTS')),
    state        text COLLATE "C" NOT NULL                -- after the event
        CHECK (state IN ('SENDING', 'ACCEPTED', 'UNCERTAIN', 'NEEDS_OPERATOR', 'SUCCEEDED', 'FAILED')),
    reason       text COLLATE "C",
    item_uid     text COLLATE "C",                        -- the package that the event is about
    evidence     json NOT NULL,                           -- holds no secrets
    by_whom      text COLLATE "C" NOT NULL,
    PRIMARY KEY (purchase_id, sequence)
);

CREATE TABLE gigagate.purchase_secret (
    purchase_id     text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES gigagate.purchase,
    customer_email  text,
    user_ip         text,
    sale            bytea,  -- the vendor's answer: JSON, byte for byte
    purged_at       timestamptz,
    CONSTRAINT purchase_secret_purged CHECK (purged_at IS NULL OR num_nonnulls(customer_email, user_ip, sale) = 0)
);

-- Every readiness check writes this row. A database that accepts connections may still refuse or delay commits.
CREATE TABLE gigagate.ping (
    only_row  boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    at        timestamptz NOT NULL
);
INSERT INTO gigagate.ping (at) VALUES (now());
