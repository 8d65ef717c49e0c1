-- The functions that every purchase uses. Each works on a group of purchases: every array has one element per purchase.
-- The results come in that order. PL/pgSQL keeps the plans of their statements for as long as the session lives. So
-- nothing is planned for each call, also behind a pooler in transaction mode.
--
-- The settings of the functions: A plan is kept, so it has to fit a table of any size. And one row that another
-- session has locked must not hold up a group for long.
--
-- A function that a released gateway calls is never replaced. A later step adds another one with another name.

-- claim inserts purchases. Its result is for each one WRITTEN, TAKEN if its key or its id is taken, or FROZEN with the scope
-- of the freeze, and the time of the claim. A known key is TAKEN whatever is frozen. clock is the time to use instead of this database's, for tests.
CREATE FUNCTION gigagate.claim(
    clock timestamptz, ids text[], callers text[], request_ids text[], accounts text[], ordered_customer_uids text[],
    orders text[], permit_lives interval[], leases interval[], personals bytea[]
) RETURNS TABLE (result text, began timestamptz)
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
    FOR c IN SELECT * FROM unnest(ids, callers, request_ids, accounts, ordered_customer_uids, orders, permit_lives, leases, personals)
        AS c (id, caller, request_id, account, ordered_customer_uid, order_json, permit_life, lease, personal)
    LOOP
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
        INSERT INTO gigagate.purchase (id, caller, request_id, account, ordered_customer_uid, claimed_at, order_json)
        VALUES (c.id, c.caller, c.request_id, c.account, c.ordered_customer_uid, began, c.order_json::json)
        ON CONFLICT DO NOTHING;
        result := 'TAKEN';
        IF FOUND THEN
            result := 'WRITTEN';
            INSERT INTO gigagate.purchase_open (id, state, attempt, revision, permitted_at, send_not_after, lease_until,
                success_seen, anomalies, updated_at, personal)
            VALUES (c.id, 'SENDING', 1, 1, began, began + c.permit_life, began + c.lease, false, 0, began, c.personal);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- write writes steps. Its result is for each one WRITTEN, STALE (the purchase has another revision) or ITEM_TAKEN, and
-- the time of the step. Only a step that was written has changed anything. revisions are those before the steps. A
-- permit life and a lease count from the time of the step. They are NULL if the step gives none.
CREATE FUNCTION gigagate.write(
    clock timestamptz, ids text[], revisions integer[], settles boolean[], late boolean[], states text[], reasons text[],
    attempts integer[], successes boolean[], anomalies integer[], permit_lives interval[], leases interval[],
    item_uids text[], customer_uids text[], aliases text[], accounts text[], kinds text[], modes text[],
    events text[], event_attempts integer[], verdicts text[], event_reasons text[], evidences text[], actors text[], sales bytea[]
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
            evidences, actors, sales)
        AS s (id, revision, settles, late, state, reason, attempt, success_seen, anomalies, permit_life,
            lease, item_uid, customer_uid, aliases, account, kind, mode, event, event_attempt, verdict, event_reason,
            evidence, actor, sale)
    LOOP
        result := 'STALE';
        IF s.settles THEN
            -- Deleting the row proves the revision and locks the purchase.
            DELETE FROM gigagate.purchase_open WHERE id = s.id AND revision = s.revision RETURNING * INTO o;
            IF FOUND THEN
                -- aliases are the other names of the account, as a JSON array. No index covers them.
                INSERT INTO gigagate.purchase_outcome (id, state, reason, attempt, revision, permitted_at, send_not_after,
                    success_seen, anomalies, settled_at, item_uid, customer_uid, account, kind, mode, event, event_attempt,
                    evidence, actor)
                SELECT s.id, s.state, s.reason, s.attempt, s.revision + 1, o.permitted_at, o.send_not_after,
                    s.success_seen, s.anomalies, began, s.item_uid, s.customer_uid, s.account, s.kind, s.mode, s.event,
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
                    reason, evidence, actor)
                VALUES (s.id, s.revision + 1, began, s.event, s.event_attempt, s.verdict, s.state, s.success_seen, s.anomalies,
                    s.event_reason, s.evidence::json, s.actor)
                ON CONFLICT DO NOTHING;
                IF FOUND THEN
                    result := 'WRITTEN';
                    IF s.event = 'ERASED' THEN
                        DELETE FROM gigagate.purchase_secret WHERE id = s.id;
                    END IF;
                END IF;
            END IF;
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
