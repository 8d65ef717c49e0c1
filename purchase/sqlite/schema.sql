-- The journal of purchases, version 1. One gateway has this file open, and nobody else can open it.
-- An operator asks the gateway, or reads a copy. For a copy, stop the gateway and copy the .db, or take
-- a snapshot of the file system that has both the .db and its -wal.
--
-- Times are microseconds since 1970 in UTC. datetime(claimed_at / 1000000, 'unixepoch') shows one.
-- Text is compared byte for byte. BINARY is SQLite's default and is spelled out for keys.
--
-- The CHECKs refuse rows that purchase.Next cannot produce. They use IN for at most two values,
-- because SQLite builds a temporary table for a longer list each time it checks a row. They do not
-- compare the times of different events. The machine's clock may be set back between two events,
-- and the second one must be recorded anyway.
--
-- Unsettled purchases, oldest first:
--   SELECT id, caller, request_id, state, reason, datetime(claimed_at / 1000000, 'unixepoch') AS claimed
--   FROM purchase WHERE settled_at IS NULL ORDER BY id;
--
-- The history of one purchase:
--   SELECT e.sequence, datetime(e.at / 1000000, 'unixepoch') AS at, e.event, e.attempt, e.verdict, e.state, e.evidence, e.by
--   FROM purchase p JOIN purchase_event e ON e.purchase = p.number
--   WHERE p.caller = 'default' AND p.request_id = 'order-4711' ORDER BY e.sequence;
--
-- Purge the details of purchases that were settled more than 400 days ago. Their keys stay, so a
-- repeated call never buys again. Its answer then lacks the activation codes. The details of an
-- unsettled purchase cannot be deleted. Set the pragma, because its default differs between builds.
-- Without it the text of deleted rows stays in the file.
--   PRAGMA secure_delete = ON;
--   DELETE FROM purchase_sale WHERE purchase IN
--     (SELECT number FROM purchase WHERE settled_at < (unixepoch() - 400 * 86400) * 1000000);
--   DELETE FROM purchase_personal WHERE purchase IN
--     (SELECT number FROM purchase WHERE settled_at < (unixepoch() - 400 * 86400) * 1000000);

CREATE TABLE purchase (
    number               INTEGER NOT NULL PRIMARY KEY, -- the other tables refer to it; short and ascending
    id                   TEXT    NOT NULL COLLATE BINARY UNIQUE,
    caller               TEXT    NOT NULL COLLATE BINARY,
    request_id           TEXT    NOT NULL COLLATE BINARY,
    state                TEXT    NOT NULL,
    reason               TEXT,
    attempt              INTEGER NOT NULL, -- number of permits given
    events               INTEGER NOT NULL, -- number of entries in its history
    anomalies            INTEGER NOT NULL,
    success_seen         INTEGER NOT NULL,
    claimed_at           INTEGER NOT NULL,
    permitted_at         INTEGER NOT NULL,
    send_not_after       INTEGER NOT NULL,
    lease_until          INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    settled_at           INTEGER,
    account              TEXT    NOT NULL COLLATE BINARY,
    item_uid             TEXT    COLLATE BINARY,
    customer_uid         TEXT    COLLATE BINARY, -- the customer it was sold to
    -- Copies from the order, for the indexes.
    kind                 TEXT    NOT NULL,
    mode                 TEXT    NOT NULL, -- the effective mode
    ordered_customer_uid TEXT    COLLATE BINARY,
    -- JSON, see purchase.EncodeOrder. It is the last column, so that scans need not read it.
    order_json           TEXT    NOT NULL,

    CONSTRAINT key_named CHECK (id <> '' AND request_id <> ''),
    CONSTRAINT state_known CHECK
        (CASE state WHEN 'SENDING' THEN 1 WHEN 'ACCEPTED' THEN 1 WHEN 'UNCERTAIN' THEN 1 WHEN 'NEEDS_OPERATOR' THEN 1
            WHEN 'SUCCEEDED' THEN 1 WHEN 'FAILED' THEN 1 ELSE 0 END),
    CONSTRAINT attempt_positive CHECK (attempt >= 1),
    CONSTRAINT counts_sound CHECK (events >= 1 AND anomalies >= 0 AND anomalies < events),
    CONSTRAINT success_seen_boolean CHECK (success_seen IN (0, 1)),
    CONSTRAINT reason_iff_failed_or_needs_operator CHECK
        ((reason IS NOT NULL) = (state IN ('FAILED', 'NEEDS_OPERATOR')) AND reason IS NOT ''),
    CONSTRAINT settled_at_iff_settled CHECK ((settled_at IS NOT NULL) = (state IN ('SUCCEEDED', 'FAILED'))),
    CONSTRAINT item_iff_succeeded CHECK ((item_uid IS NOT NULL) = (state = 'SUCCEEDED') AND item_uid IS NOT ''),
    CONSTRAINT customer_only_if_succeeded CHECK (customer_uid IS NULL OR state = 'SUCCEEDED'),
    CONSTRAINT permit_ends_after_it_begins CHECK (send_not_after >= permitted_at)
) STRICT;

-- The key. The request id comes first because people search by it.
CREATE UNIQUE INDEX purchase_key ON purchase (request_id, caller);
-- A package belongs to at most one purchase.
CREATE UNIQUE INDEX purchase_item ON purchase (item_uid, account) WHERE item_uid IS NOT NULL;
-- In this order: for TakeLapsed, for Watched (two), for Witnesses, and for List by customer (two).
CREATE INDEX purchase_leased ON purchase (lease_until) WHERE state IN ('SENDING', 'ACCEPTED');
CREATE INDEX purchase_watched ON purchase (number) WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR');
CREATE INDEX purchase_absent ON purchase (settled_at) WHERE reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR');
CREATE INDEX purchase_witness ON purchase (account, kind, mode, permitted_at) WHERE state = 'SUCCEEDED';
CREATE INDEX purchase_customer ON purchase (customer_uid) WHERE customer_uid IS NOT NULL;
CREATE INDEX purchase_ordered_customer ON purchase (ordered_customer_uid) WHERE ordered_customer_uid IS NOT NULL;

CREATE TRIGGER purchase_is_kept BEFORE DELETE ON purchase
BEGIN SELECT raise(ABORT, 'a purchase is kept for ever: its key must never buy again'); END;

-- The history, see purchase.HistoryEntry. It holds no secrets.
CREATE TABLE purchase_event (
    purchase INTEGER NOT NULL REFERENCES purchase (number),
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    attempt  INTEGER NOT NULL,
    verdict  TEXT    NOT NULL,
    state    TEXT    NOT NULL, -- after the event
    reason   TEXT,
    evidence TEXT    NOT NULL, -- JSON
    by       TEXT    NOT NULL,

    PRIMARY KEY (purchase, sequence),
    CONSTRAINT claim_comes_first CHECK (sequence >= 1 AND (sequence = 1) = (event = 'CLAIMED')),
    CONSTRAINT event_attempt_positive CHECK (attempt >= 1),
    CONSTRAINT verdict_kept CHECK (verdict = 'MOVES' OR verdict = 'STAYS' OR verdict = 'CONTRADICTS'),
    CONSTRAINT event_state_known CHECK
        (CASE state WHEN 'SENDING' THEN 1 WHEN 'ACCEPTED' THEN 1 WHEN 'UNCERTAIN' THEN 1 WHEN 'NEEDS_OPERATOR' THEN 1
            WHEN 'SUCCEEDED' THEN 1 WHEN 'FAILED' THEN 1 ELSE 0 END)
) STRICT, WITHOUT ROWID;

-- The end user's personal data, which is needed to send. A missing row means that it was purged.
CREATE TABLE purchase_personal (
    purchase INTEGER NOT NULL PRIMARY KEY REFERENCES purchase (number),
    personal TEXT    NOT NULL -- JSON
) STRICT;

-- The vendor's whole answer to a sale. Its activation codes are bearer secrets.
CREATE TABLE purchase_sale (
    purchase INTEGER NOT NULL PRIMARY KEY REFERENCES purchase (number),
    sale     BLOB    NOT NULL
) STRICT;

CREATE TRIGGER personal_is_needed_to_send BEFORE DELETE ON purchase_personal
WHEN (SELECT settled_at IS NULL FROM purchase WHERE number = OLD.purchase)
BEGIN SELECT raise(ABORT, 'only details of settled purchases can be purged'); END;

-- Ping rewrites this one row, because only a write shows whether the disk still accepts writes.
CREATE TABLE journal_probe (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;
INSERT INTO journal_probe VALUES (1, 0);
