-- The journal of purchases, version 1. One gateway has this file open, and nobody else can open it.
-- An operator asks the gateway, or reads a copy: gigagate journal backup FILE.
--
-- Facts never change: purchase (the claim), purchase_outcome (how it ended) and purchase_event (what else
-- happened). Only purchase_open and budget_total change. purchase_open has one row for each purchase that is not
-- settled, so it stays small. The totals of budgets can be computed anew from the facts: gigagate journal check
-- compares them.
-- The two views at the end put the tables together.
--
-- Times are microseconds since 1970 in UTC. datetime(claimed_at / 1000000, 'unixepoch') shows one.
-- Text is compared byte for byte. Ids are ULIDs, so they sort by the time they were made.
-- The tables with large rows have a ROWID: SQLite appends to such a table cheaply, and keeps its rows out of the
-- inner pages of its tree. Without one, a purchase costs twice the CPU.
--
-- Unsettled purchases, oldest first:
--   SELECT p.id, p.caller, p.request_id, o.state, o.reason, datetime(p.claimed_at / 1000000, 'unixepoch') AS claimed
--   FROM purchase_open o JOIN purchase p ON p.id = o.id ORDER BY p.id;
--
-- The history of one purchase:
--   SELECT h.sequence, datetime(h.at / 1000000, 'unixepoch') AS at, h.event, h.attempt, h.verdict, h.state, h.evidence, h.actor
--   FROM purchase p JOIN purchase_history h ON h.id = p.id
--   WHERE p.caller = 'default' AND p.request_id = 'order-4711' ORDER BY h.sequence;
--
-- Purge the personal data and the vendor's answers of purchases that were settled more than 400 days ago.
-- Their keys stay, so a repeated call never buys again. Its answer then lacks the activation codes. The data
-- of an unsettled purchase is in purchase_open, so it cannot be purged. Set the pragma, because its default
-- differs between builds. Without it the text of deleted rows stays in the file.
--   PRAGMA secure_delete = ON;
--   DELETE FROM purchase_secret WHERE id IN
--     (SELECT id FROM purchase_outcome WHERE settled_at < (unixepoch() - 400 * 86400) * 1000000);

-- The claim of a purchase. The key is (caller, request_id).
CREATE TABLE purchase (
    id                   TEXT    NOT NULL PRIMARY KEY,
    caller               TEXT    NOT NULL,
    request_id           TEXT    NOT NULL,
    account              TEXT    NOT NULL, -- the vendor account that pays
    ordered_customer_uid TEXT,             -- a copy from the order, for the index
    claimed_at           INTEGER NOT NULL,
    order_json           TEXT    NOT NULL, -- see purchase.EncodeOrder
    origin               BLOB,             -- the trace id and the span id of the call that made the claim, or NULL
    -- What the claim reserved in its caller's budget. NULL for a caller without one.
    reserved_currency    TEXT,
    reserved_amount      INTEGER,          -- millionths of the currency's unit, like all amounts
    reserved_day         TEXT              -- YYYY-MM-DD, in the budget's time zone
) STRICT;

-- The request id comes first because people search by it.
CREATE UNIQUE INDEX purchase_key ON purchase (request_id, caller);
-- In this order: for List by caller, and by customer.
CREATE INDEX purchase_caller ON purchase (caller, id);
CREATE INDEX purchase_ordered ON purchase (ordered_customer_uid, id) WHERE ordered_customer_uid IS NOT NULL;

CREATE TRIGGER purchase_is_kept BEFORE DELETE ON purchase
BEGIN SELECT raise(ABORT, 'a purchase is kept for ever: its key must never buy again'); END;

-- Where an unsettled purchase stands. The row is deleted when the purchase settles.
CREATE TABLE purchase_open (
    id             TEXT    NOT NULL PRIMARY KEY,
    state          TEXT    NOT NULL, -- SENDING, ACCEPTED, UNCERTAIN or NEEDS_OPERATOR
    reason         TEXT,             -- in NEEDS_OPERATOR
    attempt        INTEGER NOT NULL, -- number of permits given
    revision       INTEGER NOT NULL, -- number of entries in the history
    permitted_at   INTEGER NOT NULL, -- the newest permit
    send_not_after INTEGER NOT NULL, -- after this time the first byte must not leave
    lease_until    INTEGER,          -- in SENDING and ACCEPTED; after this time the owner counts as dead
    success_seen   INTEGER NOT NULL, -- if 1, it is never presumed absent
    anomalies      INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    personal       BLOB    NOT NULL  -- the end user's data that a send needs: JSON, or sealed (see package sealed)
) STRICT, WITHOUT ROWID;

-- How a purchase ended, with the entry of the history that settled it.
CREATE TABLE purchase_outcome (
    id             TEXT    NOT NULL PRIMARY KEY,
    state          TEXT    NOT NULL, -- SUCCEEDED or FAILED
    reason         TEXT,             -- in FAILED
    attempt        INTEGER NOT NULL,
    revision       INTEGER NOT NULL, -- the sequence of the entry
    permitted_at   INTEGER NOT NULL,
    send_not_after INTEGER NOT NULL,
    success_seen   INTEGER NOT NULL,
    anomalies      INTEGER NOT NULL,
    settled_at     INTEGER NOT NULL,
    item_uid       TEXT,             -- the package sold, in SUCCEEDED
    customer_uid   TEXT,             -- the customer it was sold to
    charge         INTEGER,          -- what the sale took from the budget
    -- Copies from the claim, for the indexes.
    account        TEXT    NOT NULL,
    kind           TEXT    NOT NULL,
    mode           TEXT    NOT NULL, -- the effective mode
    -- The entry.
    event          TEXT    NOT NULL,
    event_attempt  INTEGER NOT NULL, -- the send that the event is about
    evidence       TEXT    NOT NULL, -- JSON, without secrets
    actor          TEXT    NOT NULL,

    CONSTRAINT item_iff_succeeded CHECK ((item_uid IS NOT NULL) = (state = 'SUCCEEDED')),
    CONSTRAINT reason_iff_failed CHECK ((reason IS NOT NULL) = (state = 'FAILED'))
) STRICT;

-- A package belongs to at most one purchase.
CREATE UNIQUE INDEX purchase_item ON purchase_outcome (item_uid, account) WHERE item_uid IS NOT NULL;
-- In this order: for List by customer, for List of what failed, for Watched, for Witnesses, and for List of what has anomalies.
CREATE INDEX purchase_customer ON purchase_outcome (customer_uid, id) WHERE customer_uid IS NOT NULL;
CREATE INDEX purchase_failed ON purchase_outcome (id) WHERE state = 'FAILED';
CREATE INDEX purchase_absent ON purchase_outcome (settled_at, id) WHERE reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR');
CREATE INDEX purchase_witness ON purchase_outcome (account, kind, mode, permitted_at) WHERE state = 'SUCCEEDED';
CREATE INDEX purchase_contradicted ON purchase_outcome (id) WHERE anomalies > 0;

CREATE TRIGGER outcome_is_kept BEFORE DELETE ON purchase_outcome
BEGIN SELECT raise(ABORT, 'the outcome of a purchase is kept for ever'); END;
CREATE TRIGGER outcome_is_final BEFORE UPDATE ON purchase_outcome
BEGIN SELECT raise(ABORT, 'the outcome of a purchase is final'); END;

-- The personal data and the vendor's answer of a settled purchase. The answer's activation codes are bearer
-- secrets. A missing row means that they were purged.
CREATE TABLE purchase_secret (
    id       TEXT NOT NULL PRIMARY KEY,
    personal BLOB NOT NULL, -- as in purchase_open
    sale     BLOB           -- the vendor's answer to a sale: byte for byte, or sealed
) STRICT;

-- The entries of the history that the claim and the outcome do not hold. See purchase.HistoryEntry.
CREATE TABLE purchase_event (
    id           TEXT    NOT NULL,
    sequence     INTEGER NOT NULL, -- the purchase's revision after the event
    at           INTEGER NOT NULL,
    event        TEXT    NOT NULL,
    attempt      INTEGER NOT NULL, -- the send that the event is about
    verdict      TEXT    NOT NULL,
    state        TEXT    NOT NULL, -- after the event, like the next two
    success_seen INTEGER NOT NULL,
    anomalies    INTEGER NOT NULL,
    charge       INTEGER, -- what a sale took from the budget, if it was seen after the purchase failed
    reason       TEXT,
    evidence     TEXT    NOT NULL, -- JSON, without secrets
    actor        TEXT    NOT NULL,
    PRIMARY KEY (id, sequence)
) STRICT, WITHOUT ROWID;

-- For List of what has anomalies.
CREATE INDEX purchase_event_contradicted ON purchase_event (id) WHERE anomalies > 0;

-- Who did what, when and with what outcome. Purchases are not here: who ordered one is in its claim, and who resolved it is
-- in its history. See purchase.AuditRecord.
CREATE TABLE audit_record (
    id                 TEXT    NOT NULL PRIMARY KEY,
    at                 INTEGER NOT NULL,
    actor              TEXT    NOT NULL,
    actor_kind         TEXT    NOT NULL, -- CALLER or OPERATOR
    action             TEXT    NOT NULL, -- FREEZE, THAW, READ_SECRETS, ACTIVATE, ...
    outcome            TEXT    NOT NULL, -- BEGUN, DONE, or the effect of an activation
    caller             TEXT,
    purchase_id        TEXT,
    customer_uid       TEXT,
    inventory_item_id  TEXT,
    activated_item_uid TEXT,
    reason             TEXT              -- the operator's words
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit_record
BEGIN SELECT raise(ABORT, 'an audit record is kept for ever'); END;
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit_record
BEGIN SELECT raise(ABORT, 'an audit record is final'); END;

-- What is frozen now. The claim of a new purchase reads it in its own transaction. The audit record says who froze it,
-- when and why.
CREATE TABLE purchase_freeze (
    scope    TEXT NOT NULL, -- ALL, CALLER or ITEM
    name     TEXT NOT NULL, -- the caller, or the inventory item; empty for ALL
    audit_id TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT, WITHOUT ROWID;

-- What the purchases of a caller hold and have taken in each period of its budget.
CREATE TABLE budget_total (
    period   TEXT    NOT NULL, -- total, YYYY-MM or YYYY-MM-DD
    caller   TEXT    NOT NULL,
    currency TEXT    NOT NULL,
    reserved INTEGER NOT NULL, -- for purchases that are not settled
    spent    INTEGER NOT NULL, -- for sales
    PRIMARY KEY (period, caller, currency)
) STRICT, WITHOUT ROWID;

-- Ping rewrites this one row, because only a write shows whether the disk still accepts writes.
CREATE TABLE journal_probe (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;
INSERT INTO journal_probe VALUES (1, 0);

-- A backup has a row here. No gateway starts on the file while a row has no allowed_at, because the purchases
-- made after the backup are missing in it.
CREATE TABLE journal_backup (
    made_at    INTEGER NOT NULL PRIMARY KEY,
    allowed_at INTEGER, -- when a check, or an operator, allowed a gateway to start on it
    finding    TEXT     -- JSON: what the check found
) STRICT;

-- Every purchase as it is now. What happened after the settlement is in the newest event.
CREATE VIEW purchase_now AS
SELECT p.id, p.caller, p.request_id, p.account,
    coalesce(o.state, s.state) AS state, coalesce(o.reason, s.reason) AS reason, coalesce(o.attempt, s.attempt) AS attempt,
    coalesce(o.revision, late.sequence, s.revision) AS revision, p.claimed_at,
    coalesce(o.permitted_at, s.permitted_at) AS permitted_at, coalesce(o.send_not_after, s.send_not_after) AS send_not_after,
    o.lease_until, coalesce(o.success_seen, late.success_seen, s.success_seen) AS success_seen,
    coalesce(o.anomalies, late.anomalies, s.anomalies) AS anomalies,
    coalesce(o.updated_at, late.at, s.settled_at) AS updated_at, s.settled_at, s.item_uid, s.customer_uid,
    p.ordered_customer_uid, p.order_json, p.origin, p.reserved_currency, p.reserved_amount, p.reserved_day,
    coalesce(late.charge, s.charge) AS charge
FROM purchase p LEFT JOIN purchase_open o ON o.id = p.id LEFT JOIN purchase_outcome s ON s.id = p.id
    LEFT JOIN purchase_event late ON late.id = s.id AND late.sequence =
        (SELECT max(sequence) FROM purchase_event WHERE id = s.id AND sequence > s.revision);

-- Every entry of every history.
CREATE VIEW purchase_history AS
SELECT id, 1 AS sequence, claimed_at AS at, 'CLAIMED' AS event, 1 AS attempt, 'MOVES' AS verdict, 'SENDING' AS state,
    NULL AS reason, '{}' AS evidence, 'gateway' AS actor FROM purchase
UNION ALL
SELECT id, sequence, at, event, attempt, verdict, state, reason, evidence, actor FROM purchase_event
UNION ALL
SELECT id, revision, settled_at, event, event_attempt, 'MOVES', state, reason, evidence, actor FROM purchase_outcome;
