-- Each function is one round trip and one transaction. Locks are taken in one order: the row of `studies`, as stock
-- Optuna does when it makes a trial, then items. `mend_finish` alone takes no lock on the study as a rule, so workers
-- finish side by side. The clock is the database's.

CREATE FUNCTION mend_now() RETURNS timestamp LANGUAGE sql AS
$$ SELECT timezone('utc', clock_timestamp()) $$;   -- as stock Optuna keeps times

CREATE FUNCTION mend_event(p_study integer, p_worker bigint, p_kind text, p_detail text) RETURNS void LANGUAGE sql AS
$$ INSERT INTO mend_events (study_id, worker_id, kind, detail) VALUES (p_study, p_worker, p_kind, p_detail) $$;

-- A running trial with its parameters. The caller holds the lock on the study.
CREATE FUNCTION mend_new_trial(p_study integer, p_params jsonb) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE v_trial integer;
BEGIN
    INSERT INTO trials (number, study_id, state, datetime_start)
    SELECT coalesce(max(number) + 1, 0), p_study, 'RUNNING', mend_now() FROM trials WHERE study_id = p_study
    RETURNING trial_id INTO v_trial;
    PERFORM mend_write_params(p_study, v_trial, p_params);
    RETURN v_trial;
END $$;

CREATE FUNCTION mend_write_params(p_study integer, p_trial integer, p_params jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT p_trial, p.key, p.value::double precision, s.distributions ->> p.key
    FROM mend_searches s, jsonb_each_text(p_params) p
    WHERE s.study_id = p_study
    ON CONFLICT (trial_id, param_name) DO NOTHING
$$;

CREATE FUNCTION mend_write_attrs(p_trial integer, p_attrs jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT p_trial, a.key, a.value::text FROM jsonb_each(p_attrs) a
    ON CONFLICT (trial_id, key) DO UPDATE SET value_json = excluded.value_json
$$;

-- What a worker is told of a claim.
CREATE FUNCTION mend_claim_of(p_item bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'item_id', i.item_id, 'trial_id', i.trial_id, 'number', t.number, 'params', i.params, 'asked', i.asked,
        'attempt', i.attempts,
        'known', (SELECT v.value FROM mend_items d JOIN trials c ON c.trial_id = d.trial_id AND c.state = 'COMPLETE'
                  JOIN trial_values v ON v.trial_id = c.trial_id
                  WHERE d.study_id = i.study_id AND d.key = i.key AND d.state = 'done' LIMIT 1))
    FROM mend_items i JOIN trials t USING (trial_id) WHERE i.item_id = p_item
$$;

-- Claim one item for each proposal {key, params}: those that wait come first, then requests of stock `enqueue_trial`,
-- then the proposals. The answer to a claim may be lost on the way; what the worker does not say that it holds is
-- therefore handed out to it again.
CREATE FUNCTION mend_claim(p_worker bigint, p_holding jsonb, p_proposals jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_study integer; v_search mend_searches; v_proposal jsonb; v_item bigint; v_trial integer; v_params jsonb;
    v_claims jsonb := '[]'; v_new integer := 0;
BEGIN
    UPDATE mend_workers SET seen_at = clock_timestamp(), ended_at = NULL, ending = NULL
    WHERE worker_id = p_worker RETURNING study_id INTO v_study;
    IF v_study IS NULL THEN
        RETURN jsonb_build_object('status', 'deleted', 'claims', v_claims);
    END IF;
    PERFORM 1 FROM studies WHERE study_id = v_study FOR UPDATE;
    SELECT * INTO v_search FROM mend_searches WHERE study_id = v_study;
    SELECT coalesce(jsonb_agg(mend_claim_of(item_id) ORDER BY item_id), '[]') INTO v_claims FROM mend_items
    WHERE worker_id = p_worker AND state = 'leased' AND NOT p_holding @> to_jsonb(item_id);
    IF v_claims <> '[]' THEN
        RETURN jsonb_build_object('status', 'claimed', 'claims', v_claims);
    END IF;
    IF v_search.stopping THEN
        RETURN jsonb_build_object('status', 'stopping', 'claims', v_claims);
    END IF;
    FOR v_proposal IN SELECT value FROM jsonb_array_elements(p_proposals) LOOP
        SELECT item_id, CASE WHEN asked THEN '{}' ELSE params END INTO v_item, v_params FROM mend_items
        WHERE study_id = v_study AND state = 'waiting' ORDER BY item_id LIMIT 1 FOR UPDATE;
        IF v_item IS NOT NULL THEN
            v_trial := mend_new_trial(v_study, v_params);
        ELSIF v_search.claimed + v_new < v_search.trials THEN
            v_new := v_new + 1;
            SELECT trial_id INTO v_trial FROM trials
            WHERE study_id = v_study AND state = 'WAITING' ORDER BY number LIMIT 1 FOR UPDATE;
            IF v_trial IS NOT NULL THEN
                UPDATE trials SET state = 'RUNNING', datetime_start = mend_now() WHERE trial_id = v_trial;
                INSERT INTO mend_items (study_id, params, asked)
                VALUES (v_study, coalesce((SELECT value_json::jsonb FROM trial_system_attributes
                                           WHERE trial_id = v_trial AND key = 'fixed_params'), '{}'), true)
                RETURNING item_id INTO v_item;
            ELSE
                INSERT INTO mend_items (study_id, key, params)
                VALUES (v_study, v_proposal ->> 'key', v_proposal -> 'params') RETURNING item_id INTO v_item;
                v_trial := mend_new_trial(v_study, v_proposal -> 'params');
            END IF;
        ELSE
            EXIT;
        END IF;
        UPDATE mend_items SET state = 'leased', attempts = attempts + 1, trial_id = v_trial, worker_id = p_worker,
            leased_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => v_search.lease_s)
        WHERE item_id = v_item;
        v_claims := v_claims || mend_claim_of(v_item);
    END LOOP;
    IF v_new > 0 THEN
        UPDATE mend_searches SET claimed = claimed + v_new WHERE study_id = v_study;
    END IF;
    RETURN jsonb_build_object('claims', v_claims, 'status', CASE
        WHEN v_claims <> '[]' THEN 'claimed'
        WHEN EXISTS (SELECT 1 FROM mend_items WHERE study_id = v_study AND state = 'leased')
          OR EXISTS (SELECT 1 FROM mend_items WHERE study_id = v_study AND state = 'waiting') THEN 'wait'
        ELSE 'finished' END);
END $$;

-- Record the result of an item, once: whoever brings it first. A worker that was given up for lost completes the trial
-- of whoever has the item now, or one of its own where the item waits.
CREATE FUNCTION mend_finish(
    p_item bigint, p_worker bigint, p_state text, p_value double precision, p_key text, p_params jsonb, p_attrs jsonb,
    p_steps jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_item mend_items; v_how text := 'recorded'; v_locked boolean;
BEGIN
    SELECT * INTO v_item FROM mend_items WHERE item_id = p_item;
    v_locked := v_item.state = 'waiting';
    IF v_locked THEN
        PERFORM 1 FROM studies WHERE study_id = v_item.study_id FOR UPDATE;
    END IF;
    SELECT * INTO v_item FROM mend_items WHERE item_id = p_item FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'deleted';
    ELSIF v_item.state IN ('done', 'set_aside') THEN
        RETURN 'dropped';
    ELSIF v_item.state = 'waiting' AND NOT v_locked THEN
        RETURN 'again';                                -- it was put back this moment; locks come in their order
    ELSIF v_item.state = 'waiting' THEN
        v_item.trial_id := mend_new_trial(v_item.study_id, '{}');
    END IF;
    IF v_item.worker_id IS DISTINCT FROM p_worker OR v_item.state = 'waiting' THEN
        v_how := 'late';
        PERFORM mend_event(v_item.study_id, p_worker, 'late result', 'trial ' || number) FROM trials
        WHERE trial_id = v_item.trial_id;
    END IF;
    PERFORM mend_write_params(v_item.study_id, v_item.trial_id, p_params);
    PERFORM mend_write_attrs(v_item.trial_id, p_attrs);
    INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)
    SELECT v_item.trial_id, s.key::integer, s.value::double precision, 'FINITE' FROM jsonb_each_text(p_steps) s
    ON CONFLICT (trial_id, step) DO NOTHING;
    INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT v_item.trial_id, 0, CASE WHEN abs(p_value) < 'Infinity' THEN p_value END,
        (CASE p_value WHEN '-Infinity' THEN 'INF_NEG' WHEN 'Infinity' THEN 'INF_POS' ELSE 'FINITE' END)::trialvaluetype
    WHERE p_value IS NOT NULL;
    UPDATE trials SET state = p_state::trialstate, datetime_complete = mend_now() WHERE trial_id = v_item.trial_id;
    UPDATE mend_items SET state = 'done', key = p_key, params = p_params, asked = false, trial_id = v_item.trial_id,
        worker_id = p_worker, expires_at = NULL
    WHERE item_id = p_item;
    RETURN v_how;
END $$;

-- Fail the trial of a leased item and let the item wait, in one transaction. With `p_counts` it is a fault of the
-- candidate's: after three the item is set aside, and another takes its place. The caller holds the lock on the study.
CREATE FUNCTION mend_put_back(p_item bigint, p_reason text, p_log text, p_counts boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE v_item mend_items; v_state text := 'waiting'; v_log text;
BEGIN
    SELECT * INTO v_item FROM mend_items WHERE item_id = p_item AND state = 'leased' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_log := concat_ws(E'\n', v_item.log, 'attempt ' || v_item.attempts || ': ' || p_reason, nullif(p_log, ''));
    IF p_counts AND v_item.attempts >= 3 THEN
        v_state := 'set_aside';
        UPDATE mend_searches SET claimed = claimed - 1 WHERE study_id = v_item.study_id;
        PERFORM mend_event(v_item.study_id, v_item.worker_id, 'set aside', v_log);
    END IF;
    PERFORM mend_write_attrs(v_item.trial_id, jsonb_build_object('failed', v_log));
    UPDATE trials SET state = 'FAIL', datetime_complete = mend_now() WHERE trial_id = v_item.trial_id;
    UPDATE mend_items SET state = v_state, attempts = attempts - CASE WHEN p_counts THEN 0 ELSE 1 END, expires_at = NULL,
        worker_id = CASE v_state WHEN 'set_aside' THEN worker_id END, log = v_log
    WHERE item_id = p_item;
    RETURN v_state;
END $$;

-- One item failed in the worker's hands.
CREATE FUNCTION mend_fail(p_item bigint, p_worker bigint, p_reason text, p_log text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE v_study integer;
BEGIN
    SELECT study_id INTO v_study FROM mend_items WHERE item_id = p_item;
    PERFORM 1 FROM studies WHERE study_id = v_study FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM mend_items WHERE item_id = p_item AND worker_id = p_worker) THEN
        RETURN NULL;
    END IF;
    PERFORM mend_event(v_study, p_worker, 'failed', p_reason);
    RETURN mend_put_back(p_item, p_reason, p_log, true);
END $$;

-- A worker ends, or is known to have ended: its items wait again.
CREATE FUNCTION mend_leave(p_worker bigint, p_ending text, p_log text, p_counts boolean) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE v_study integer; v_items integer;
BEGIN
    SELECT study_id INTO v_study FROM mend_workers WHERE worker_id = p_worker;
    PERFORM 1 FROM studies WHERE study_id = v_study FOR UPDATE;
    UPDATE mend_workers SET ended_at = clock_timestamp(), ending = p_ending
    WHERE worker_id = p_worker AND ended_at IS NULL;
    IF FOUND THEN
        PERFORM mend_event(v_study, p_worker, 'left', p_ending);
    END IF;
    SELECT count(mend_put_back(item_id, p_ending, p_log, p_counts)) INTO v_items FROM (
        SELECT item_id FROM mend_items WHERE worker_id = p_worker AND state = 'leased' ORDER BY item_id) held;
    RETURN v_items;
END $$;

-- Renew the leases of a worker, and put back what others let expire. Says what the worker still holds.
--
-- Where no worker was heard for half a lease, or the server has just started, the database was away: nobody could
-- renew, so nothing expires before a whole lease has passed.
CREATE FUNCTION mend_renew(p_worker bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_study integer; v_search mend_searches; v_now timestamptz := clock_timestamp(); v_lease interval; v_lost bigint;
BEGIN
    SELECT study_id INTO v_study FROM mend_workers WHERE worker_id = p_worker;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('held', '[]'::jsonb, 'stopping', true);
    END IF;
    PERFORM 1 FROM studies WHERE study_id = v_study FOR UPDATE;
    UPDATE mend_workers SET seen_at = v_now, ended_at = NULL, ending = NULL WHERE worker_id = p_worker;
    SELECT * INTO v_search FROM mend_searches WHERE study_id = v_study;
    v_lease := make_interval(secs => v_search.lease_s);
    IF v_search.heard_at < v_now - v_lease / 2 THEN
        v_search.grace_until := v_now + v_lease;
        PERFORM mend_event(v_study, p_worker, 'outage', 'no worker was heard for ' || round(extract(epoch FROM v_now - v_search.heard_at)) || ' s');
    END IF;
    UPDATE mend_searches SET heard_at = v_now, grace_until = v_search.grace_until WHERE study_id = v_study;
    UPDATE mend_items SET expires_at = v_now + v_lease WHERE worker_id = p_worker AND state = 'leased';
    IF v_now > coalesce(v_search.grace_until, v_now - v_lease) AND v_now > pg_postmaster_start_time() + v_lease THEN
        FOR v_lost IN
            SELECT DISTINCT worker_id FROM mend_items WHERE study_id = v_study AND state = 'leased' AND expires_at < v_now
        LOOP
            PERFORM mend_leave(v_lost, 'lost: its lease ran out', '', true);
        END LOOP;
        UPDATE mend_workers SET ended_at = v_now, ending = 'lost'
        WHERE study_id = v_study AND ended_at IS NULL AND seen_at < v_now - v_lease;
    END IF;
    RETURN jsonb_build_object('stopping', v_search.stopping, 'held', coalesce(
        (SELECT jsonb_agg(item_id) FROM mend_items WHERE worker_id = p_worker AND state = 'leased'), '[]'));
END $$;

-- A process becomes a worker of a search.
CREATE FUNCTION mend_join(p_study integer, p_host text, p_boot text, p_pid integer, p_device text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE v_worker mend_workers;
BEGIN
    PERFORM 1 FROM studies WHERE study_id = p_study FOR UPDATE;
    INSERT INTO mend_workers (study_id, ordinal, host, boot, pid, device)
    SELECT p_study, count(*), p_host, p_boot, p_pid, p_device FROM mend_workers WHERE study_id = p_study
    RETURNING * INTO v_worker;
    PERFORM mend_event(p_study, v_worker.worker_id, 'joined', p_host || ' ' || p_device);
    RETURN jsonb_build_object('worker_id', v_worker.worker_id, 'ordinal', v_worker.ordinal);
END $$;
