-- The journal of purchases, version 1. The same tables, names and words as in SQLite: ../../sqlite/schema.sql.
-- The name of the schema is a setting, and the gateway replaces "gigagate." with it. Every name is qualified,
-- because a pooler in transaction mode does not keep search_path.
--
-- Facts never change: purchase (the claim), purchase_outcome (how it ended) and purchase_event (what else
-- happened). Only purchase_open and budget_total change. purchase_open has one row for each purchase that is not
-- settled, so it stays small. The totals of budgets can be computed anew from the facts: gigagate journal check
-- compares them.
-- Two views put the tables together. The next step has the functions that write.
--
-- Times are by this database's clock, with microseconds. Ids are ULIDs, so they sort by the time they were made.
-- Text is compared byte for byte. The gateway's role needs USAGE on the schema, SELECT, INSERT and UPDATE on its
-- tables, and DELETE on purchase_open, purchase_secret and purchase_freeze.
--
-- Unsettled purchases, oldest first:
--   SELECT p.id, p.caller, p.request_id, o.state, o.reason, now() - p.claimed_at AS age
--   FROM gigagate.purchase_open o JOIN gigagate.purchase p ON p.id = o.id ORDER BY p.id;
--
-- The history of one purchase:
--   SELECT h.sequence, h.at, h.event, h.attempt, h.verdict, h.state, h.evidence, h.actor
--   FROM gigagate.purchase p JOIN gigagate.purchase_history h ON h.id = p.id
--   WHERE p.caller = 'default' AND p.request_id = 'order-4711' ORDER BY h.sequence;
--
-- Purge the personal data and the vendor's answers of purchases that were settled more than 400 days ago.
-- Their keys stay, so a repeated call never buys again. Its answer then lacks the activation codes. The data
-- of an unsettled purchase is in purchase_open, so it cannot be purged.
--   DELETE FROM gigagate.purchase_secret WHERE id IN
--     (SELECT id FROM gigagate.purchase_outcome WHERE settled_at < now() - interval '400 days');

-- The claim of a purchase. The key is (caller, request_id).
CREATE TABLE gigagate.purchase (
    id                   text COLLATE "C" NOT NULL PRIMARY KEY,
    caller               text COLLATE "C" NOT NULL,
    request_id           text COLLATE "C" NOT NULL,
    account              text COLLATE "C" NOT NULL, -- the vendor account that pays
    ordered_customer_uid text COLLATE "C",          -- a copy from the order, for the index
    claimed_at           timestamptz NOT NULL,
    order_json           json NOT NULL,             -- see purchase.EncodeOrder
    origin               bytea,                     -- the trace id and the span id of the call that made the claim, or NULL
    -- What the claim reserved in its caller's budget. NULL for a caller without one.
    reserved_currency    text COLLATE "C",
    reserved_amount      bigint,                    -- millionths of the currency's unit, like all amounts
    reserved_day         text COLLATE "C"           -- YYYY-MM-DD, in the budget's time zone
);

-- The request id comes first because people search by it.
CREATE UNIQUE INDEX purchase_key ON gigagate.purchase (request_id, caller);
-- In this order: for List by caller, and by customer.
CREATE INDEX purchase_caller ON gigagate.purchase (caller, id);
CREATE INDEX purchase_ordered ON gigagate.purchase (ordered_customer_uid, id) WHERE ordered_customer_uid IS NOT NULL;

CREATE FUNCTION gigagate.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', TG_ARGV[0]; END $$;

CREATE TRIGGER purchase_is_kept BEFORE DELETE OR TRUNCATE ON gigagate.purchase
EXECUTE FUNCTION gigagate.refuse('a purchase is kept for ever: its key must never buy again');

-- Where an unsettled purchase stands. The row is deleted when the purchase settles.
CREATE TABLE gigagate.purchase_open (
    id             text COLLATE "C" NOT NULL PRIMARY KEY,
    state          text        NOT NULL, -- SENDING, ACCEPTED, UNCERTAIN or NEEDS_OPERATOR
    reason         text,                 -- in NEEDS_OPERATOR
    attempt        integer     NOT NULL, -- number of permits given
    revision       integer     NOT NULL, -- number of entries in the history
    permitted_at   timestamptz NOT NULL, -- the newest permit
    send_not_after timestamptz NOT NULL, -- after this time the first byte must not leave
    lease_until    timestamptz,          -- in SENDING and ACCEPTED; after this time the owner counts as dead
    success_seen   boolean     NOT NULL, -- if true, it is never presumed absent
    anomalies      integer     NOT NULL,
    updated_at     timestamptz NOT NULL,
    personal       bytea       NOT NULL  -- the end user's data that a send needs: JSON, or sealed (see package sealed)
);

-- How a purchase ended, with the entry of the history that settled it.
CREATE TABLE gigagate.purchase_outcome (
    id             text COLLATE "C" NOT NULL PRIMARY KEY,
    state          text        NOT NULL, -- SUCCEEDED or FAILED
    reason         text,                 -- in FAILED
    attempt        integer     NOT NULL,
    revision       integer     NOT NULL, -- the sequence of the entry
    permitted_at   timestamptz NOT NULL,
    send_not_after timestamptz NOT NULL,
    success_seen   boolean     NOT NULL,
    anomalies      integer     NOT NULL,
    settled_at     timestamptz NOT NULL,
    item_uid       text COLLATE "C",     -- the package sold, in SUCCEEDED
    customer_uid   text COLLATE "C",     -- the customer it was sold to
    charge         bigint,               -- what the sale took from the budget
    -- Copies from the claim, for the indexes.
    account        text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    mode           text COLLATE "C" NOT NULL, -- the effective mode
    -- The entry.
    event          text        NOT NULL,
    event_attempt  integer     NOT NULL, -- the send that the event is about
    evidence       json        NOT NULL, -- without secrets
    actor          text        NOT NULL,

    CONSTRAINT item_iff_succeeded CHECK ((item_uid IS NOT NULL) = (state = 'SUCCEEDED')),
    CONSTRAINT reason_iff_failed CHECK ((reason IS NOT NULL) = (state = 'FAILED'))
);

-- A package belongs to at most one purchase.
CREATE UNIQUE INDEX purchase_item ON gigagate.purchase_outcome (item_uid, account) WHERE item_uid IS NOT NULL;
-- In this order: for List by customer, for List of what failed, for Watched, for Witnesses, and for List of what has anomalies.
CREATE INDEX purchase_customer ON gigagate.purchase_outcome (customer_uid, id) WHERE customer_uid IS NOT NULL;
CREATE INDEX purchase_failed ON gigagate.purchase_outcome (id) WHERE state = 'FAILED';
CREATE INDEX purchase_absent ON gigagate.purchase_outcome (settled_at, id) WHERE reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR');
CREATE INDEX purchase_witness ON gigagate.purchase_outcome (account, kind, mode, permitted_at) WHERE state = 'SUCCEEDED';
CREATE INDEX purchase_contradicted ON gigagate.purchase_outcome (id) WHERE anomalies > 0;

CREATE TRIGGER outcome_is_kept BEFORE DELETE OR TRUNCATE ON gigagate.purchase_outcome
EXECUTE FUNCTION gigagate.refuse('the outcome of a purchase is kept for ever');
CREATE TRIGGER outcome_is_final BEFORE UPDATE ON gigagate.purchase_outcome
EXECUTE FUNCTION gigagate.refuse('the outcome of a purchase is final');

-- The personal data and the vendor's answer of a settled purchase. The answer's activation codes are bearer
-- secrets. A missing row means that they were purged.
CREATE TABLE gigagate.purchase_secret (
    id       text COLLATE "C" NOT NULL PRIMARY KEY,
    personal bytea NOT NULL, -- as in purchase_open
    sale     bytea           -- the vendor's answer to a sale: byte for byte, or sealed
);

-- The entries of the history that the claim and the outcome do not hold. See purchase.HistoryEntry.
CREATE TABLE gigagate.purchase_event (
    id           text COLLATE "C" NOT NULL,
    sequence     integer     NOT NULL, -- the purchase's revision after the event
    at           timestamptz NOT NULL,
    event        text        NOT NULL,
    attempt      integer     NOT NULL, -- the send that the event is about
    verdict      text        NOT NULL,
    state        text        NOT NULL, -- after the event, like the next two
    success_seen boolean     NOT NULL,
    anomalies    integer     NOT NULL,
    charge       bigint, -- what a sale took from the budget, if it was seen after the purchase failed
    reason       text,
    evidence     json        NOT NULL, -- without secrets
    actor        text        NOT NULL,
    PRIMARY KEY (id, sequence)
);

-- For List of what has anomalies.
CREATE INDEX purchase_event_contradicted ON gigagate.purchase_event (id) WHERE anomalies > 0;

-- Who did what, when and with what outcome. Purchases are not here: who ordered one is in its claim, and who resolved it is
-- in its history. See purchase.AuditRecord.
CREATE TABLE gigagate.audit_record (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY,
    at                 timestamptz NOT NULL,
    actor              text NOT NULL,
    actor_kind         text NOT NULL, -- CALLER or OPERATOR
    action             text NOT NULL, -- FREEZE, THAW, READ_SECRETS, ACTIVATE, ...
    outcome            text NOT NULL, -- BEGUN, DONE, or the effect of an activation
    caller             text,
    purchase_id        text,
    customer_uid       text,
    inventory_item_id  text,
    activated_item_uid text,
    reason             text           -- the operator's words
);

CREATE TRIGGER audit_is_kept BEFORE DELETE OR TRUNCATE ON gigagate.audit_record
EXECUTE FUNCTION gigagate.refuse('an audit record is kept for ever');
CREATE TRIGGER audit_is_final BEFORE UPDATE ON gigagate.audit_record
EXECUTE FUNCTION gigagate.refuse('an audit record is final');

-- What is frozen now. The claim of a new purchase reads it in its own transaction. The audit record says who froze it,
-- when and why.
CREATE TABLE gigagate.purchase_freeze (
    scope    text COLLATE "C" NOT NULL, -- ALL, CALLER or ITEM
    name     text COLLATE "C" NOT NULL, -- the caller, or the inventory item; empty for ALL
    audit_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (scope, name)
);

-- What the purchases of a caller hold and have taken in each period of its budget. Half of each page stays free, so that
-- a row that changes often finds room for its new versions.
CREATE TABLE gigagate.budget_total (
    period   text COLLATE "C" NOT NULL, -- total, YYYY-MM or YYYY-MM-DD
    caller   text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    reserved bigint NOT NULL, -- for purchases that are not settled
    spent    bigint NOT NULL, -- for sales
    PRIMARY KEY (period, caller, currency)
) WITH (fillfactor = 50);

-- Ping rewrites this one row, because only a write shows whether the server still accepts and commits writes.
CREATE TABLE gigagate.journal_probe (
    one integer     NOT NULL PRIMARY KEY CHECK (one = 1),
    at  timestamptz NOT NULL
);
INSERT INTO gigagate.journal_probe VALUES (1, now());

-- Every purchase as it is now. What happened after the settlement is in the newest event.
CREATE VIEW gigagate.purchase_now AS
SELECT p.id, p.caller, p.request_id, p.account,
    coalesce(o.state, s.state) AS state, coalesce(o.reason, s.reason) AS reason, coalesce(o.attempt, s.attempt) AS attempt,
    coalesce(o.revision, late.sequence, s.revision) AS revision, p.claimed_at,
    coalesce(o.permitted_at, s.permitted_at) AS permitted_at, coalesce(o.send_not_after, s.send_not_after) AS send_not_after,
    o.lease_until, coalesce(o.success_seen, late.success_seen, s.success_seen) AS success_seen,
    coalesce(o.anomalies, late.anomalies, s.anomalies) AS anomalies,
    coalesce(o.updated_at, late.at, s.settled_at) AS updated_at, s.settled_at, s.item_uid, s.customer_uid,
    p.ordered_customer_uid, p.order_json, p.origin, p.reserved_currency, p.reserved_amount, p.reserved_day,
    coalesce(late.charge, s.charge) AS charge
FROM gigagate.purchase p LEFT JOIN gigagate.purchase_open o ON o.id = p.id LEFT JOIN gigagate.purchase_outcome s ON s.id = p.id
    LEFT JOIN LATERAL (SELECT * FROM gigagate.purchase_event WHERE id = s.id AND sequence > s.revision
        ORDER BY sequence DESC LIMIT 1) late ON true;

-- Every entry of every history.
CREATE VIEW gigagate.purchase_history AS
SELECT id, 1 AS sequence, claimed_at AS at, 'CLAIMED' AS event, 1 AS attempt, 'MOVES' AS verdict, 'SENDING' AS state,
    NULL AS reason, '{}'::json AS evidence, 'gateway' AS actor FROM gigagate.purchase
UNION ALL
SELECT id, sequence, at, event, attempt, verdict, state, reason, evidence, actor FROM gigagate.purchase_event
UNION ALL
SELECT id, revision, settled_at, event, event_attempt, 'MOVES', state, reason, evidence, actor FROM gigagate.purchase_outcome;
