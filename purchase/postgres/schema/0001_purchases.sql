-- The purchase journal. Times are timestamptz, microseconds, and those of this database's clock.
-- Every name is qualified: search_path is session state, which a transaction pooler does not keep.
-- The schema's name is a setting; "gigagate." here stands for it.
--
-- Two queries an operator would want:
--
--   What needs a human, the oldest first:
--
--     SELECT id, caller, request_id, reason, anomalies, now() - claimed_at AS age
--       FROM gigagate.purchase
--      WHERE state = 'NEEDS_OPERATOR' OR anomalies > 0
--      ORDER BY id;
--
--   What happened to one request:
--
--     SELECT e.sequence, e.at, e.event, e.attempt, e.verdict, e.state, e.reason, e.evidence, e.by_whom
--       FROM gigagate.purchase p JOIN gigagate.purchase_event e ON e.purchase_id = p.id
--      WHERE p.caller = 'default' AND p.request_id = 'order-4711'
--      ORDER BY e.sequence;
--
-- Personal data and the vendor's answers (activation codes) stand in purchase_secret alone. Purging
-- them, here of what was settled more than 90 days ago, keeps the key, so that a late retry is still
-- told what became of it and is never sold to again:
--
--     UPDATE gigagate.purchase_secret s SET customer_email = NULL, user_ip = NULL, sale = NULL, purged_at = now()
--       FROM gigagate.purchase p
--      WHERE p.id = s.purchase_id AND s.purged_at IS NULL AND p.settled_at < now() - interval '90 days';
--
-- Rows of purchase and purchase_event are kept for ever. Once the tables are there the gateway's role
-- needs USAGE on the schema and SELECT, INSERT, UPDATE on its tables; it never deletes.

CREATE TABLE gigagate.purchase (
    id                   text COLLATE "C" NOT NULL PRIMARY KEY, -- ULID: sorts by the time it was made
    -- Who asked, and the caller's own id; compared byte for byte.
    caller               text COLLATE "C" NOT NULL,
    request_id           text COLLATE "C" NOT NULL,
    account              text COLLATE "C" NOT NULL,  -- the vendor account it is bought for
    kind                 text COLLATE "C" NOT NULL,  -- kind, mode and ordered_customer_uid repeat what
    mode                 text COLLATE "C" NOT NULL,  -- order_json says, for the indexes; mode is the
    ordered_customer_uid text COLLATE "C",           -- effective one
    order_json           json NOT NULL,              -- json, not jsonb: the text stays as it was written

    state                text COLLATE "C" NOT NULL
        CHECK (state IN ('SENDING', 'ACCEPTED', 'UNCERTAIN', 'NEEDS_OPERATOR', 'SUCCEEDED', 'FAILED')),
    reason               text COLLATE "C",
    attempt              integer NOT NULL CHECK (attempt >= 1),   -- permits given so far
    revision             integer NOT NULL CHECK (revision >= 1),  -- entries in its history so far
    claimed_at           timestamptz NOT NULL,
    permitted_at         timestamptz NOT NULL,  -- the newest permit
    send_not_after       timestamptz NOT NULL,  -- the last moment for its first byte
    lease_until          timestamptz NOT NULL,  -- when the owner of SENDING or ACCEPTED counts as gone
    success_seen         boolean NOT NULL,      -- never presumed absent
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

-- One package, one purchase.
CREATE UNIQUE INDEX purchase_item ON gigagate.purchase (account, item_uid) WHERE item_uid IS NOT NULL;
-- Leases that may be over.
CREATE INDEX purchase_owned ON gigagate.purchase (lease_until) WHERE state IN ('SENDING', 'ACCEPTED');
-- What a read of the vendor's records is matched against.
CREATE INDEX purchase_watched ON gigagate.purchase (id)
    WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR');
CREATE INDEX purchase_absent ON gigagate.purchase (settled_at, id)
    WHERE state = 'FAILED' AND reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR');
-- Sales that show whether the vendor's records are complete.
CREATE INDEX purchase_witness ON gigagate.purchase (account, kind, mode, permitted_at) WHERE state = 'SUCCEEDED';
-- Lists by time and by customer. Lists of what is not settled are served above, others walk the primary key.
CREATE INDEX purchase_claimed ON gigagate.purchase (claimed_at);
CREATE INDEX purchase_sold ON gigagate.purchase (customer_uid, id) WHERE customer_uid IS NOT NULL;
CREATE INDEX purchase_ordered ON gigagate.purchase (ordered_customer_uid, id) WHERE ordered_customer_uid IS NOT NULL;
-- What a human has to look at.
CREATE INDEX purchase_anomalous ON gigagate.purchase (id) WHERE anomalies > 0;

CREATE TABLE gigagate.purchase_event (
    purchase_id  text COLLATE "C" NOT NULL REFERENCES gigagate.purchase,
    sequence     integer NOT NULL CHECK (sequence >= 1),  -- the purchase's revision after it
    at           timestamptz NOT NULL,
    event        text COLLATE "C" NOT NULL,
    attempt      integer NOT NULL CHECK (attempt >= 1),   -- the send it speaks of
    verdict      text COLLATE "C" NOT NULL CHECK (verdict IN ('MOVES', 'STAYS', 'CONTRADICTS')),
    state        text COLLATE "C" NOT NULL                -- after it
        CHECK (state IN ('SENDING', 'ACCEPTED', 'UNCERTAIN', 'NEEDS_OPERATOR', 'SUCCEEDED', 'FAILED')),
    reason       text COLLATE "C",
    item_uid     text COLLATE "C",                        -- what it tells of
    evidence     json NOT NULL,                           -- holds nothing secret
    by_whom      text COLLATE "C" NOT NULL,
    PRIMARY KEY (purchase_id, sequence)
);

CREATE TABLE gigagate.purchase_secret (
    purchase_id     text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES gigagate.purchase,
    customer_email  text,
    user_ip         text,
    sale            bytea,  -- the vendor's answer, JSON, byte for byte
    purged_at       timestamptz,
    CONSTRAINT purchase_secret_purged CHECK (purged_at IS NULL OR num_nonnulls(customer_email, user_ip, sale) = 0)
);

-- Written by every readiness check: a database that takes connections may still refuse or delay commits.
CREATE TABLE gigagate.ping (
    only_row  boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (only_row),
    at        timestamptz NOT NULL
);
INSERT INTO gigagate.ping (at) VALUES (now());
