package postgres

// columns are the columns of a purchase, in the order that scanRow expects.
const columns = `id, caller, request_id, account, order_json, state, reason, attempt, revision,
       claimed_at, permitted_at, send_not_after, lease_until, success_seen, anomalies,
       item_uid, customer_uid, updated_at, settled_at`

// statements is the SQL for one schema. $1 of every write is the time of the injected clock. If it is NULL, the
// statement uses now(), the time at which the transaction began.
type statements struct {
	ping, lookup, get, confirm, history, secrets, list, watched, absent, older, younger, taken string

	claim, record, recorded, takeLapsed string
}

func newStatements(schema string) statements {
	q := func(sql string) string { return inSchema(schema, sql) }
	return statements{
		ping:   q(ping),
		lookup: q(`SELECT ` + columns + ` FROM gigagate.purchase WHERE caller = $1 AND request_id = $2`),
		get:    q(`SELECT ` + columns + ` FROM gigagate.purchase WHERE id = $1`),
		confirm: q(`
SELECT state = 'SENDING' AND attempt = $2 AND coalesce($3::timestamptz, now()) <= send_not_after
  FROM gigagate.purchase WHERE id = $1`),
		history: q(`
SELECT sequence, at, event, attempt, verdict, state, reason, evidence, by_whom
  FROM gigagate.purchase_event WHERE purchase_id = $1 ORDER BY sequence`),
		secrets: q(`
SELECT s.customer_email, s.user_ip, s.sale, s.purchase_id IS NULL OR s.purged_at IS NOT NULL
  FROM gigagate.purchase p LEFT JOIN gigagate.purchase_secret s ON s.purchase_id = p.id WHERE p.id = $1`),
		list: q(`
SELECT ` + columns + `
  FROM gigagate.purchase
 WHERE ($1::text IS NULL OR caller = $1)
   AND ($2::text IS NULL OR request_id = $2)
   AND ($3::text IS NULL OR customer_uid = $3 OR ordered_customer_uid = $3)
   AND ($4::text[] IS NULL OR state = ANY ($4))
   AND ($5::timestamptz IS NULL OR claimed_at >= $5)
   AND ($6::timestamptz IS NULL OR claimed_at < $6)
   AND ($7::text IS NULL OR id < $7)
 ORDER BY id DESC LIMIT $8`),
		watched: q(`
SELECT ` + columns + `
  FROM gigagate.purchase
 WHERE state IN ('UNCERTAIN', 'NEEDS_OPERATOR') AND id > $1
 ORDER BY id LIMIT $2`),
		// On the first page $3 is NULL, and the page starts $2 before now.
		absent: q(`
SELECT ` + columns + `
  FROM gigagate.purchase
 WHERE state = 'FAILED' AND reason IN ('PRESUMED_ABSENT', 'RESOLVED_BY_OPERATOR')
   AND (settled_at, id) > (coalesce($3::timestamptz, coalesce($1::timestamptz, now()) - $2::interval), $4)
 ORDER BY settled_at, id LIMIT $5`),
		older:      q(witnesses + `DESC LIMIT $6`),
		younger:    q(witnesses + `ASC LIMIT $6`),
		taken:      q(`SELECT EXISTS (SELECT FROM gigagate.purchase WHERE item_uid = $1 AND account = ANY ($2::text[]))`),
		claim:      q(claim),
		record:     q(record),
		recorded:   q(recorded),
		takeLapsed: q(takeLapsed),
	}
}

const witnesses = `
SELECT ` + columns + `
  FROM gigagate.purchase
 WHERE state = 'SUCCEEDED' AND account = $1 AND kind = $2 AND mode = $3
   AND ($4::timestamptz IS NULL OR permitted_at >= $4)
   AND ($5::timestamptz IS NULL OR permitted_at < $5)
 ORDER BY permitted_at `

// claim writes a purchase, the first entry of its history and its secrets. If the key is taken, it writes
// nothing. It cannot return the purchase that has the key: at READ COMMITTED, this statement does not see a row
// that was committed while it waited for that row.
const claim = `
WITH claimed AS (
    INSERT INTO gigagate.purchase (
        id, caller, request_id, account, kind, mode, ordered_customer_uid, order_json,
        state, attempt, revision, success_seen, anomalies,
        claimed_at, permitted_at, updated_at, send_not_after, lease_until)
    SELECT $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, 1, false, 0,
           began, began, began, began + $11::interval, began + $12::interval
      FROM coalesce($1::timestamptz, now()) AS began
    ON CONFLICT (caller, request_id) DO NOTHING
    RETURNING *
), entry AS (
    INSERT INTO gigagate.purchase_event (purchase_id, sequence, at, event, attempt, verdict, state, evidence, by_whom)
    SELECT id, revision, claimed_at, 'CLAIMED', attempt, 'MOVES', state, '{}', $13 FROM claimed
), secret AS (
    INSERT INTO gigagate.purchase_secret (purchase_id, customer_email, user_ip)
    SELECT id, $14, $15 FROM claimed
)
SELECT ` + columns + ` FROM claimed`

// record applies one transition. The guard is one of two: the row has attempt $3 and one of the states $5, or the
// row still has the revision $4 that was read. $11 is the life of a new permit, and $12 is the new lease. The
// revision is the number of history entries, so it also numbers the new entry.
const record = `
WITH changed AS (
    UPDATE gigagate.purchase SET
        state = $6, reason = $7, attempt = $8, revision = revision + 1,
        success_seen = success_seen OR $9, anomalies = anomalies + $10,
        permitted_at   = CASE WHEN $11::interval IS NULL THEN permitted_at ELSE coalesce($1, now()) END,
        send_not_after = coalesce(coalesce($1, now()) + $11::interval, send_not_after),
        lease_until    = coalesce(coalesce($1, now()) + $12::interval, lease_until),
        item_uid = coalesce($13, item_uid), customer_uid = coalesce($14, customer_uid),
        settled_at = CASE WHEN $15::boolean THEN coalesce($1, now()) ELSE settled_at END,
        updated_at = coalesce($1::timestamptz, now())
    WHERE id = $2
      AND ($4::integer IS NULL AND attempt = $3 AND state = ANY ($5::text[]) OR revision = $4)
    RETURNING *
), entry AS (
    INSERT INTO gigagate.purchase_event (
        purchase_id, sequence, at, event, attempt, verdict, state, reason, item_uid, evidence, by_whom)
    SELECT id, revision, updated_at, $16, $17, $18, state, $19, $20, $21, $22 FROM changed
), secret AS (
    UPDATE gigagate.purchase_secret SET sale = $23
      FROM changed WHERE purchase_id = id AND $23::bytea IS NOT NULL AND purged_at IS NULL
)
SELECT ` + columns + ` FROM changed`

// recorded reads a purchase, and whether its history already contains a transition.
const recorded = `
SELECT ` + columns + `,
       EXISTS (SELECT FROM gigagate.purchase_event
                WHERE purchase_id = id AND event = $2 AND purchase_event.attempt = $3
                  AND purchase_event.item_uid IS NOT DISTINCT FROM $4::text)
  FROM gigagate.purchase WHERE id = $1`

// takeLapsed skips rows that another transaction is writing. A later call finds them if their lease is still
// over.
const takeLapsed = `
WITH lapsed AS (
    SELECT id AS lapsed_id FROM gigagate.purchase
     WHERE state IN ('SENDING', 'ACCEPTED') AND lease_until <= coalesce($1::timestamptz, now())
     ORDER BY lease_until LIMIT $4
       FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE gigagate.purchase SET
        state       = CASE state WHEN 'SENDING' THEN 'UNCERTAIN' ELSE state END,
        revision    = CASE state WHEN 'SENDING' THEN revision + 1 ELSE revision END,
        lease_until = CASE state WHEN 'SENDING' THEN lease_until ELSE coalesce($1, now()) + $2::interval END,
        updated_at  = coalesce($1, now())
      FROM lapsed WHERE id = lapsed_id
    RETURNING ` + columns + `
), entry AS (
    INSERT INTO gigagate.purchase_event (purchase_id, sequence, at, event, attempt, verdict, state, evidence, by_whom)
    SELECT id, revision, updated_at, 'LOST', attempt, 'MOVES', state, '{}', $3 FROM taken WHERE state = 'UNCERTAIN'
)
SELECT ` + columns + ` FROM taken ORDER BY id`
