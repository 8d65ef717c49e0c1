-- The functions that every purchase uses. Each works on a group of purchases: every array has one element per purchase.
-- The results come in that order. PL/pgSQL keeps the plans of their statements for as long as the session lives. So
-- nothing is planned for each call, also behind a pooler in transaction mode.
--
-- The settings of the functions: A plan is kept, so it has to fit a table of any size. And one row that another
-- session has locked must not hold up a group for long.
--
-- A function that a released gateway calls is never replaced. A later step adds another one with another name.

-- day_in returns the day in a time zone.
CREATE FUNCTION gigagate.day_in(at timestamptz, zone text) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT to_char(at AT TIME ZONE zone, 'YYYY-MM-DD') $$;

-- periods_of returns the periods of a day. See purchase.Reservation.Periods.
CREATE FUNCTION gigagate.periods_of(day text) RETURNS text[] LANGUAGE sql IMMUTABLE AS
$$ SELECT ARRAY['total', left(day, 7), day] $$;

-- lock_totals locks the totals that a group will change, and adds those that are missing. Every group does this before
-- anything else, and in the same order. So a group that waits for totals has locked only totals that come before, and
-- groups never wait for each other in a circle. A claim has a zone, and its day is today. A step has the day of its claim.
CREATE FUNCTION gigagate.lock_totals(clock timestamptz, callers text[], currencies text[], days text[], zones text[]) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '2s' AS $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT DISTINCT p.period COLLATE "C" AS period, b.caller COLLATE "C" AS caller, b.currency COLLATE "C" AS currency
        FROM unnest(callers, currencies, days, zones) AS b (caller, currency, day, zone)
        CROSS JOIN LATERAL unnest(gigagate.periods_of(coalesce(b.day, gigagate.day_in(coalesce(clock, now()), b.zone)))) AS p (period)
        ORDER BY 1, 2, 3
    LOOP
        PERFORM FROM gigagate.budget_total WHERE period = t.period AND caller = t.caller AND currency = t.currency FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            INSERT INTO gigagate.budget_total VALUES (t.period, t.caller, t.currency, 0, 0) ON CONFLICT DO NOTHING;
            PERFORM FROM gigagate.budget_total WHERE period = t.period AND caller = t.caller AND currency = t.currency FOR NO KEY UPDATE;
        END IF;
    END LOOP;
END $$;

-- claim inserts purchases. Its result is for each one WRITTEN, TAKEN if its key or its id is taken, FROZEN with the scope of
-- the freeze, or OVER_BUDGET, and the time of the claim. A known key is TAKEN, whatever is frozen. clock is the time to use
-- instead of this database's, for tests. currencies, amounts and zones are NULL without a budget. The limits are those of
-- purchase.Budget.Limits. For a claim with a budget, the result has the day on which it counts, and what was used in the
-- periods of this day.
CREATE FUNCTION gigagate.claim(
    clock timestamptz, ids text[], callers text[], request_ids text[], accounts text[], ordered_customer_uids text[],
    orders text[], origins bytea[], permit_lives interval[], leases interval[], personals bytea[],
    currencies text[], amounts bigint[], zones text[], total_limits bigint[], month_limits bigint[], day_limits bigint[]
) RETURNS TABLE (result text, began timestamptz, day text, used bigint[])
LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '2s' AS $$
DECLARE
    c record;
    frozen boolean;
    scope_of_freeze text;
BEGIN
    began := coalesce(clock, now());
    -- Nobody freezes or thaws until this transaction ends. So no claim commits after a freeze was reported as done.
    LOCK TABLE gigagate.purchase_freeze IN ROW SHARE MODE;
    frozen := EXISTS (SELECT FROM gigagate.purchase_freeze);
    FOR c IN SELECT * FROM unnest(ids, callers, request_ids, accounts, ordered_customer_uids, orders, origins, permit_lives, leases, personals,
            currencies, amounts, zones, total_limits, month_limits, day_limits)
        AS c (id, caller, request_id, account, ordered_customer_uid, order_json, origin, permit_life, lease, personal,
            currency, amount, zone, total_limit, month_limit, day_limit)
    LOOP
        day := NULL;
        used := NULL;
        IF frozen THEN
            SELECT f.scope INTO scope_of_freeze FROM gigagate.purchase_freeze f
            WHERE (f.scope, f.name) IN (('ALL', ''), ('CALLER', c.caller), ('ITEM', c.order_json::json->>'inventory_item_id'))
            ORDER BY f.scope LIMIT 1;
            IF FOUND AND NOT EXISTS (SELECT FROM gigagate.purchase p WHERE p.request_id = c.request_id AND p.caller = c.caller) THEN
                result := 'FROZEN ' || scope_of_freeze;
                RETURN NEXT;
                CONTINUE;
            END IF;
        END IF;
        IF c.currency IS NOT NULL THEN
            day := gigagate.day_in(began, c.zone);
            used := ARRAY(SELECT coalesce(t.reserved + t.spent, 0)
                FROM unnest(gigagate.periods_of(day)) WITH ORDINALITY AS p (period, place)
                LEFT JOIN gigagate.budget_total t ON t.period = p.period AND t.caller = c.caller AND t.currency = c.currency
                ORDER BY p.place);
            -- A purchase that has the key needs no budget.
            IF (c.amount > c.total_limit - used[1] OR c.amount > c.month_limit - used[2] OR c.amount > c.day_limit - used[3])
                AND NOT EXISTS (SELECT FROM gigagate.purchase WHERE request_id = c.request_id AND caller = c.caller)
            THEN
                result := 'OVER_BUDGET';
                RETURN NEXT;
                CONTINUE;
            END IF;
        END IF;
        INSERT INTO gigagate.purchase (id, caller, request_id, account, ordered_customer_uid, claimed_at, order_json,
            origin, reserved_currency, reserved_amount, reserved_day)
        VALUES (c.id, c.caller, c.request_id, c.account, c.ordered_customer_uid, began, c.order_json::json,
            c.origin, c.currency, c.amount, day)
        ON CONFLICT DO NOTHING;
        result := 'TAKEN';
        IF FOUND THEN
            result := 'WRITTEN';
            INSERT INTO gigagate.purchase_open (id, state, attempt, revision, permitted_at, send_not_after, lease_until,
                success_seen, anomalies, updated_at, personal)
            VALUES (c.id, 'SENDING', 1, 1, began, began + c.permit_life, began + c.lease, false, 0, began, c.personal);
            IF c.currency IS NOT NULL THEN
                UPDATE gigagate.budget_total t SET reserved = t.reserved + c.amount
                WHERE t.period = ANY (gigagate.periods_of(day)) AND t.caller = c.caller AND t.currency = c.currency;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- write writes steps. Its result is for each one WRITTEN, STALE (the purchase has another revision) or ITEM_TAKEN, and
-- the time of the step. Only a step that was written has changed anything. revisions are those before the steps. A
-- permit life and a lease count from the time of the step. They are NULL if the step gives none. charges are those of
-- the purchases after the steps. callers, currencies and days say which totals a step changes, and released and charged
-- by how much: see purchase.Step.Posting. They are NULL for a step that changes none.
CREATE FUNCTION gigagate.write(
    clock timestamptz, ids text[], revisions integer[], settles boolean[], late boolean[], states text[], reasons text[],
    attempts integer[], successes boolean[], anomalies integer[], permit_lives interval[], leases interval[],
    item_uids text[], customer_uids text[], aliases text[], accounts text[], kinds text[], modes text[],
    events text[], event_attempts integer[], verdicts text[], event_reasons text[], evidences text[], actors text[], sales bytea[],
    charges bigint[], callers text[], currencies text[], days text[], released bigint[], charged bigint[]
) RETURNS TABLE (result text, began timestamptz)
LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '2s' AS $$
#variable_conflict use_column
DECLARE
    s record;
    o gigagate.purchase_open;
BEGIN
    began := coalesce(clock, now());
    FOR s IN SELECT * FROM unnest(ids, revisions, settles, late, states, reasons, attempts, successes, anomalies, permit_lives,
            leases, item_uids, customer_uids, aliases, accounts, kinds, modes, events, event_attempts, verdicts, event_reasons,
            evidences, actors, sales, charges, callers, currencies, days, released, charged)
        AS s (id, revision, settles, late, state, reason, attempt, success_seen, anomalies, permit_life,
            lease, item_uid, customer_uid, aliases, account, kind, mode, event, event_attempt, verdict, event_reason,
            evidence, actor, sale, charge, caller, currency, day, released, charged)
    LOOP
        result := 'STALE';
        IF s.settles THEN
            -- Deleting the row proves the revision and locks the purchase.
            DELETE FROM gigagate.purchase_open WHERE id = s.id AND revision = s.revision RETURNING * INTO o;
            IF FOUND THEN
                -- aliases are the other names of the account, as a JSON array. No index covers them.
                INSERT INTO gigagate.purchase_outcome (id, state, reason, attempt, revision, permitted_at, send_not_after,
                    success_seen, anomalies, settled_at, item_uid, customer_uid, charge, account, kind, mode, event,
                    event_attempt, evidence, actor)
                SELECT s.id, s.state, s.reason, s.attempt, s.revision + 1, o.permitted_at, o.send_not_after,
                    s.success_seen, s.anomalies, began, s.item_uid, s.customer_uid, s.charge, s.account, s.kind, s.mode, s.event,
                    s.event_attempt, s.evidence::json, s.actor
                WHERE s.aliases IS NULL OR NOT EXISTS (SELECT FROM gigagate.purchase_outcome
                    WHERE item_uid = s.item_uid AND account IN (SELECT json_array_elements_text(s.aliases::json)))
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    INSERT INTO gigagate.purchase_secret VALUES (s.id, o.personal, s.sale);
                    result := 'WRITTEN';
                ELSE
                    INSERT INTO gigagate.purchase_open VALUES (o.*);
                    result := 'ITEM_TAKEN';
                END IF;
            END IF;
        ELSE
            IF s.late THEN
                PERFORM FROM gigagate.purchase_now WHERE id = s.id AND revision = s.revision AND settled_at IS NOT NULL;
            ELSE
                UPDATE gigagate.purchase_open SET state = s.state, reason = s.reason, attempt = s.attempt, revision = s.revision + 1,
                    permitted_at = CASE WHEN s.permit_life IS NULL THEN permitted_at ELSE began END,
                    send_not_after = coalesce(began + s.permit_life, send_not_after),
                    lease_until = CASE s.verdict WHEN 'MOVES' THEN began + s.lease ELSE lease_until END,
                    success_seen = s.success_seen, anomalies = s.anomalies, updated_at = began
                WHERE id = s.id AND revision = s.revision;
            END IF;
            IF FOUND THEN
                -- Of two late events of one revision, the second finds the sequence taken.
                INSERT INTO gigagate.purchase_event (id, sequence, at, event, attempt, verdict, state, success_seen, anomalies,
                    charge, reason, evidence, actor)
                VALUES (s.id, s.revision + 1, began, s.event, s.event_attempt, s.verdict, s.state, s.success_seen, s.anomalies,
                    s.charge, s.event_reason, s.evidence::json, s.actor)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := 'WRITTEN';
                    IF s.event = 'ERASED' THEN
                        DELETE FROM gigagate.purchase_secret WHERE id = s.id;
                    END IF;
                END IF;
            END IF;
        END IF;
        IF s.currency IS NOT NULL AND result = 'WRITTEN' THEN
            UPDATE gigagate.budget_total SET reserved = reserved - s.released, spent = spent + s.charged
            WHERE period = ANY (gigagate.periods_of(s.day)) AND caller = s.caller AND currency = s.currency;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- confirm says for each purchase whether the permit of an attempt stands. See purchase.Journal.ConfirmPermit.
CREATE FUNCTION gigagate.confirm(clock timestamptz, ids text[], attempts integer[]) RETURNS TABLE (stands boolean)
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
    c record;
BEGIN
    FOR c IN SELECT * FROM unnest(ids, attempts) AS c (id, attempt) LOOP
        stands := EXISTS (SELECT FROM gigagate.purchase_open
            WHERE id = c.id AND attempt = c.attempt AND state = 'SENDING' AND send_not_after >= coalesce(clock, now()));
        RETURN NEXT;
    END LOOP;
END $$;

-- The next three are for operators and for audits. A record is a JSON object with the columns of audit_record, except for
-- its time. They are rare, and each is a transaction of its own.

-- audit writes an audit record. It returns the record's time.
CREATE FUNCTION gigagate.audit(clock timestamptz, record json) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    r gigagate.audit_record := json_populate_record(NULL::gigagate.audit_record, record);
BEGIN
    r.at := coalesce(clock, now());
    INSERT INTO gigagate.audit_record VALUES (r.*);
    RETURN r.at;
END $$;

-- freeze freezes a target and writes the record, unless it is frozen already. It returns the record of the freeze that
-- stands. The lock waits for the claims under way, and makes others wait. It does not wait for a backup or a list, which
-- only read the table.
CREATE FUNCTION gigagate.freeze(clock timestamptz, target_scope text, target_name text, record json) RETURNS SETOF gigagate.audit_record
LANGUAGE plpgsql SET lock_timeout = '3s' AS $$
BEGIN
    LOCK TABLE gigagate.purchase_freeze IN EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM gigagate.purchase_freeze WHERE scope = target_scope AND name = target_name) THEN
        PERFORM gigagate.audit(clock, record);
        INSERT INTO gigagate.purchase_freeze (scope, name, audit_id) VALUES (target_scope, target_name, record->>'id');
    END IF;
    RETURN QUERY SELECT a.* FROM gigagate.purchase_freeze f JOIN gigagate.audit_record a ON a.id = f.audit_id
        WHERE f.scope = target_scope AND f.name = target_name;
END $$;

-- thaw ends a freeze and writes the record. It returns the record's time, or NULL if the target is not frozen.
CREATE FUNCTION gigagate.thaw(clock timestamptz, target_scope text, target_name text, record json) RETURNS timestamptz
LANGUAGE plpgsql SET lock_timeout = '3s' AS $$
BEGIN
    LOCK TABLE gigagate.purchase_freeze IN EXCLUSIVE MODE;
    DELETE FROM gigagate.purchase_freeze WHERE scope = target_scope AND name = target_name;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN gigagate.audit(clock, record);
END $$;
