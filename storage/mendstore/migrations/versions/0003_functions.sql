-- Functions of the last rungs, and those of revision 0002 that now renew and give back tasks too.
--
-- Locks are taken in one order: the row of `studies`, then workers, items, tasks. Promotion is decided under the lock on
-- the study, and follows from what is recorded alone, so it comes out the same whoever asks, and however often.

-- The task that chooses among the trials that the search is to have.
CREATE OR REPLACE FUNCTION mend_choice(p_study integer, p_recipe text) RETURNS bigint LANGUAGE sql AS $$
    SELECT t.task_id FROM mend_tasks t JOIN mend_searches s USING (study_id)
    WHERE t.study_id = p_study AND t.recipe = p_recipe AND t.kind = 'choose' AND t.key = s.trials::text
$$;

-- Which candidates are on which rung, the best first: all finalists on the first, and on each further one the better
-- ones of the rung before, once all of that rung are fine-tuned. What was set aside drops out.
CREATE OR REPLACE FUNCTION mend_rungs(p_choice bigint) RETURNS TABLE (rung integer, place bigint, key text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE v_choice mend_tasks; v_keys text[]; v_next text[]; v_ended bigint;
BEGIN
    SELECT * INTO v_choice FROM mend_tasks WHERE task_id = p_choice;
    SELECT array_agg(f.key ORDER BY f.first) INTO v_keys FROM (
        SELECT key, min(position) AS first FROM mend_finalists WHERE choice = p_choice GROUP BY key) f;
    FOR v_rung IN 0 .. coalesce(jsonb_array_length(v_choice.rungs), 0) - 1 LOOP
        EXIT WHEN v_keys IS NULL;
        RETURN QUERY SELECT v_rung, u.place, u.key FROM unnest(v_keys) WITH ORDINALITY u(key, place);
        SELECT count(*) FILTER (WHERE t.state IN ('done', 'set_aside')),
            (array_agg(u.key ORDER BY t.value DESC, t.tie DESC, u.place) FILTER (WHERE t.state = 'done'))
                [1 : (v_choice.rungs -> (v_rung + 1) ->> 'places')::integer]
        INTO v_ended, v_next
        FROM unnest(v_keys) WITH ORDINALITY u(key, place) JOIN mend_tasks t
            ON t.study_id = v_choice.study_id AND t.recipe = v_choice.recipe AND t.kind = 'finetune'
            AND t.rung = v_rung AND t.key = u.key;
        EXIT WHEN v_ended < cardinality(v_keys);
        v_keys := v_next;
    END LOOP;
END $$;

-- Make the tasks that have become due. The caller holds the lock on the study.
CREATE OR REPLACE FUNCTION mend_climb(p_study integer, p_recipe text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF mend_done(p_study) < (SELECT trials FROM mend_searches WHERE study_id = p_study) THEN
        RETURN;
    END IF;
    INSERT INTO mend_tasks (study_id, recipe, kind, key)
    SELECT p_study, p_recipe, 'choose', trials::text FROM mend_searches
    WHERE study_id = p_study AND mend_choice(p_study, p_recipe) IS NULL;
    INSERT INTO mend_tasks (study_id, recipe, kind, key, rung)
    SELECT p_study, p_recipe, 'finetune', r.key, r.rung FROM mend_rungs(mend_choice(p_study, p_recipe)) r
    WHERE NOT EXISTS (SELECT 1 FROM mend_tasks t WHERE t.study_id = p_study AND t.recipe = p_recipe
                      AND t.kind = 'finetune' AND t.rung = r.rung AND t.key = r.key)
    ORDER BY r.rung, r.place;
END $$;

-- The tasks that lead to the result: those of the present choice, not of one among fewer trials.
CREATE OR REPLACE FUNCTION mend_due(p_study integer, p_recipe text) RETURNS SETOF mend_tasks LANGUAGE sql AS $$
    SELECT * FROM mend_tasks WHERE task_id = mend_choice(p_study, p_recipe)
    UNION ALL
    SELECT t.* FROM mend_rungs(mend_choice(p_study, p_recipe)) r JOIN mend_tasks t
        ON t.study_id = p_study AND t.recipe = p_recipe AND t.kind = 'finetune' AND t.rung = r.rung AND t.key = r.key
$$;

-- What a worker is told of a task.
CREATE OR REPLACE FUNCTION mend_task_of(p_task bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'task_id', t.task_id, 'kind', t.kind, 'key', t.key, 'rung', t.rung, 'attempt', t.attempts, 'epoch', t.epoch,
        'checkpoint', t.checkpoint,
        'name', coalesce((SELECT f.name FROM mend_finalists f
                          WHERE f.key = t.key AND f.choice = mend_choice(t.study_id, t.recipe)
                          ORDER BY f.position LIMIT 1), t.kind),
        'start', (SELECT b.weights FROM mend_tasks b WHERE b.study_id = t.study_id AND b.recipe = t.recipe
                  AND b.kind = 'finetune' AND b.key = t.key AND b.rung = t.rung - 1))
    FROM mend_tasks t WHERE t.task_id = p_task
$$;

-- Claim a task of one of the kinds. Without one the status says why: `trials` (there are candidates to score again),
-- `wait` (others hold what this worker could do), `elsewhere` (what is left needs another worker), `finished`.
-- The answer may be lost on the way; what the worker does not say that it holds is handed out to it again.
CREATE OR REPLACE FUNCTION mend_claim_task(p_worker bigint, p_recipe text, p_kinds jsonb, p_holding jsonb)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_study integer; v_search mend_searches; v_task bigint; v_open boolean; v_mine boolean;
BEGIN
    SELECT study_id INTO v_study FROM mend_workers WHERE worker_id = p_worker;
    PERFORM 1 FROM studies WHERE study_id = v_study FOR UPDATE;
    UPDATE mend_workers SET seen_at = clock_timestamp(), ended_at = NULL, ending = NULL WHERE worker_id = p_worker;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('status', 'deleted');
    END IF;
    SELECT * INTO v_search FROM mend_searches WHERE study_id = v_study;
    SELECT task_id INTO v_task FROM mend_tasks
    WHERE worker_id = p_worker AND state = 'leased' AND NOT p_holding @> to_jsonb(task_id) ORDER BY task_id LIMIT 1;
    IF v_task IS NOT NULL THEN
        RETURN jsonb_build_object('status', 'claimed', 'task', mend_task_of(v_task));
    ELSIF v_search.stopping THEN
        RETURN jsonb_build_object('status', 'stopping');
    ELSIF mend_done(v_study) < v_search.trials THEN
        RETURN jsonb_build_object('status', 'trials');
    END IF;
    PERFORM mend_climb(v_study, p_recipe);
    SELECT d.task_id INTO v_task FROM mend_due(v_study, p_recipe) d
    WHERE d.state = 'waiting' AND p_kinds ? d.kind ORDER BY d.attempts, d.rung, d.task_id LIMIT 1;
    IF v_task IS NOT NULL THEN
        UPDATE mend_tasks SET state = 'leased', attempts = attempts + 1, worker_id = p_worker,
            leased_at = clock_timestamp(), expires_at = clock_timestamp() + make_interval(secs => v_search.lease_s)
        WHERE task_id = v_task;
        RETURN jsonb_build_object('status', 'claimed', 'task', mend_task_of(v_task));
    END IF;
    SELECT count(*) > 0, count(*) FILTER (WHERE p_kinds ? d.kind) > 0 INTO v_open, v_mine
    FROM mend_due(v_study, p_recipe) d WHERE d.state IN ('waiting', 'leased');
    RETURN jsonb_build_object('status', CASE WHEN v_mine THEN 'wait' WHEN v_open THEN 'elsewhere' ELSE 'finished' END);
END $$;

-- Name the latest checkpoint of a fine-tuning: `kept`; or `lost` if another worker has it now, `done` if it is finished.
-- A fine-tuning that got further has its attempts anew.
CREATE OR REPLACE FUNCTION mend_checkpoint(p_task bigint, p_worker bigint, p_digest text, p_epoch integer)
RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mend_tasks SET spent = nullif(checkpoint, p_digest), checkpoint = p_digest, epoch = p_epoch,
        attempts = CASE WHEN p_epoch > epoch THEN 1 ELSE attempts END
    WHERE task_id = p_task AND worker_id = p_worker AND state = 'leased';
    IF FOUND THEN
        RETURN 'kept';
    END IF;
    RETURN CASE WHEN EXISTS (SELECT 1 FROM mend_tasks WHERE task_id = p_task AND state IN ('waiting', 'leased'))
        THEN 'lost' ELSE 'done' END;
END $$;

-- Remove the spent checkpoint of a task from the database, unless something else names it; says where else it is kept.
-- It runs with the rights of the owner, since workers may delete nothing else.
CREATE OR REPLACE FUNCTION mend_forget(p_task bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE v_digest text; v_place text;
BEGIN
    SELECT spent INTO v_digest FROM mend_tasks WHERE task_id = p_task FOR UPDATE;
    UPDATE mend_tasks SET spent = NULL WHERE task_id = p_task;
    DELETE FROM mend_blobs b WHERE b.digest = v_digest
        AND NOT EXISTS (SELECT 1 FROM mend_tasks t WHERE b.digest IN (t.checkpoint, t.weights))
        AND NOT EXISTS (SELECT 1 FROM mend_searches s, jsonb_each_text(s.blobs) n WHERE n.value = b.digest)
    RETURNING b.place INTO v_place;
    RETURN v_place;
END $$;

-- Record the finalists of a choice, once, and make their first fine-tunings. `p_finalists` are {name, key, keep_counts,
-- score} in order. A finalist that was a trial gets its refined score as an attribute.
CREATE OR REPLACE FUNCTION mend_chosen(
    p_task bigint, p_worker bigint, p_finalists jsonb, p_rungs jsonb, p_seconds double precision
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_task mend_tasks; v_how text;
BEGIN
    SELECT * INTO v_task FROM mend_tasks WHERE task_id = p_task;
    PERFORM 1 FROM studies WHERE study_id = v_task.study_id FOR UPDATE;
    v_how := mend_end_task(p_task, p_worker);
    IF v_how NOT IN ('recorded', 'late') THEN
        RETURN v_how;
    END IF;
    UPDATE mend_tasks SET rungs = p_rungs, seconds = p_seconds WHERE task_id = p_task;
    INSERT INTO mend_finalists (choice, position, name, key, keep_counts, score, trial_id)
    SELECT p_task, f.number - 1, f.value ->> 'name', f.value ->> 'key', f.value -> 'keep_counts',
        (f.value ->> 'score')::double precision,
        (SELECT i.trial_id FROM mend_items i JOIN trials c ON c.trial_id = i.trial_id AND c.state = 'COMPLETE'
         WHERE i.study_id = v_task.study_id AND i.key = f.value ->> 'key' AND i.state = 'done'
         ORDER BY i.item_id LIMIT 1)
    FROM jsonb_array_elements(p_finalists) WITH ORDINALITY f(value, number);
    PERFORM mend_write_attrs(trial_id, jsonb_build_object('refined_score', score, 'rung', 'refined'))
    FROM (SELECT DISTINCT trial_id, score FROM mend_finalists
          WHERE choice = p_task AND trial_id IS NOT NULL AND score IS NOT NULL) known
    WHERE NOT EXISTS (SELECT 1 FROM trial_user_attributes a WHERE a.trial_id = known.trial_id AND a.key = 'finetuned');
    PERFORM mend_climb(v_task.study_id, v_task.recipe);
    RETURN v_how;
END $$;

-- Record what a fine-tuning gave, once: whoever brings it first. The last one of a rung promotes the better ones, in the
-- same transaction. A finalist that was a trial gets the value as an attribute.
CREATE OR REPLACE FUNCTION mend_finetuned(
    p_task bigint, p_worker bigint, p_weights text, p_value double precision, p_tie double precision,
    p_seconds double precision
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_task mend_tasks; v_how text; v_final mend_finalists; v_part text;
BEGIN
    SELECT * INTO v_task FROM mend_tasks WHERE task_id = p_task;
    PERFORM 1 FROM studies WHERE study_id = v_task.study_id FOR UPDATE;
    v_how := mend_end_task(p_task, p_worker);
    IF v_how NOT IN ('recorded', 'late') THEN
        RETURN v_how;
    END IF;
    UPDATE mend_tasks SET weights = p_weights, value = p_value, tie = p_tie, seconds = p_seconds,
        spent = checkpoint, checkpoint = NULL
    WHERE task_id = p_task;
    SELECT f.* INTO v_final FROM mend_finalists f
    WHERE f.choice = mend_choice(v_task.study_id, v_task.recipe) AND f.key = v_task.key AND f.trial_id IS NOT NULL LIMIT 1;
    IF FOUND THEN
        SELECT rungs -> v_task.rung ->> 'part' INTO v_part FROM mend_tasks WHERE task_id = v_final.choice;
        PERFORM mend_write_attrs(v_final.trial_id, jsonb_build_object(
            'finetuned', coalesce((SELECT mend_json(value_json) FROM trial_user_attributes
                                   WHERE trial_id = v_final.trial_id AND key = 'finetuned'), '{}')
                         || jsonb_build_object(v_part, p_value),
            'rung', 'fine-tuned ' || v_part));
    END IF;
    PERFORM mend_climb(v_task.study_id, v_task.recipe);
    RETURN v_how;
END $$;

-- End a task that is waiting or leased: `recorded`, or `late` if this worker's lease was lost. Otherwise `dropped`, or
-- `deleted`. The caller holds the lock on the study.
CREATE OR REPLACE FUNCTION mend_end_task(p_task bigint, p_worker bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_task mend_tasks; v_how text := 'recorded';
BEGIN
    SELECT * INTO v_task FROM mend_tasks WHERE task_id = p_task FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'deleted';
    ELSIF v_task.state IN ('done', 'set_aside') THEN
        RETURN 'dropped';
    ELSIF v_task.state = 'waiting' OR v_task.worker_id IS DISTINCT FROM p_worker THEN
        v_how := 'late';
        PERFORM mend_event(v_task.study_id, p_worker, 'late result', mend_task_name(v_task));
    END IF;
    UPDATE mend_tasks SET state = 'done', worker_id = p_worker, expires_at = NULL, done_at = clock_timestamp()
    WHERE task_id = p_task;
    RETURN v_how;
END $$;

CREATE OR REPLACE FUNCTION mend_task_name(p_task mend_tasks) RETURNS text LANGUAGE sql AS $$
    SELECT CASE p_task.kind WHEN 'choose' THEN 'choice of the finalists'
        ELSE 'fine-tuning of ' || (mend_task_of(p_task.task_id) ->> 'name') || ' to rung ' || (p_task.rung + 1) END
$$;

-- Let a leased task wait. With `p_counts` it is a fault of the task's: after three it is set aside, and what remains of
-- its rung goes on without it. The caller holds the lock on the study.
CREATE OR REPLACE FUNCTION mend_task_back(p_task bigint, p_reason text, p_log text, p_counts boolean) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE v_task mend_tasks; v_state text := 'waiting'; v_log text;
BEGIN
    SELECT * INTO v_task FROM mend_tasks WHERE task_id = p_task AND state = 'leased' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    v_log := concat_ws(E'\n', v_task.log, 'attempt ' || v_task.attempts || ': ' || p_reason, nullif(p_log, ''));
    IF p_counts AND v_task.attempts >= 3 THEN
        v_state := 'set_aside';
        PERFORM mend_event(v_task.study_id, v_task.worker_id, 'set aside', mend_task_name(v_task) || E'\n' || v_log);
    END IF;
    UPDATE mend_tasks SET state = v_state, attempts = attempts - CASE WHEN p_counts THEN 0 ELSE 1 END,
        expires_at = NULL, worker_id = CASE v_state WHEN 'set_aside' THEN worker_id END, log = v_log
    WHERE task_id = p_task;
    IF v_state = 'set_aside' THEN
        PERFORM mend_climb(v_task.study_id, v_task.recipe);
    END IF;
    RETURN v_state;
END $$;

-- A task failed in the worker's hands, or with `p_counts` false is given back.
CREATE OR REPLACE FUNCTION mend_fail_task(
    p_task bigint, p_worker bigint, p_reason text, p_log text, p_counts boolean
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_task mend_tasks;
BEGIN
    SELECT * INTO v_task FROM mend_tasks WHERE task_id = p_task;
    PERFORM 1 FROM studies WHERE study_id = v_task.study_id FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM mend_tasks WHERE task_id = p_task AND worker_id = p_worker) THEN
        RETURN NULL;
    END IF;
    IF p_counts THEN
        PERFORM mend_event(v_task.study_id, p_worker, 'failed', mend_task_name(v_task) || ': ' || p_reason);
    END IF;
    RETURN mend_task_back(p_task, p_reason, p_log, p_counts);
END $$;

-- Tasks that were set aside wait again, with three attempts: a person asks for it.
CREATE OR REPLACE FUNCTION mend_try_again(p_study integer) RETURNS bigint LANGUAGE sql AS $$
    WITH again AS (
        UPDATE mend_tasks SET state = 'waiting', attempts = 0, worker_id = NULL
        WHERE study_id = p_study AND state = 'set_aside' RETURNING 1)
    SELECT count(*) FROM again
$$;

-- A worker ends, or is known to have ended: its items and tasks wait again.
CREATE OR REPLACE FUNCTION mend_leave(p_worker bigint, p_ending text, p_log text, p_counts boolean) RETURNS integer
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
    PERFORM mend_task_back(task_id, p_ending, p_log, p_counts) FROM (
        SELECT task_id FROM mend_tasks WHERE worker_id = p_worker AND state = 'leased' ORDER BY task_id) held;
    RETURN v_items;
END $$;

-- Renew the leases of a worker. Says which items it still holds.
--
-- The first worker that comes in a sixteenth of a lease also puts back what others let expire, under the lock on the
-- study; otherwise each of a thousand workers would look at all of them. Where no worker was heard for half a lease, or
-- the server has just started, the database could not be reached and nobody could renew: nothing expires before a whole
-- lease has passed.
CREATE OR REPLACE FUNCTION mend_renew(p_worker bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_study integer; v_search mend_searches; v_now timestamptz := clock_timestamp(); v_lease interval; v_lost bigint;
    v_looks boolean;
BEGIN
    SELECT s.* INTO v_search FROM mend_searches s JOIN mend_workers USING (study_id) WHERE worker_id = p_worker;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('held', '[]'::jsonb, 'stopping', true);
    END IF;
    v_study := v_search.study_id;
    v_lease := make_interval(secs => v_search.lease_s);
    v_looks := coalesce(v_search.heard_at NOT BETWEEN v_now - v_lease / 16 AND v_now, true);
    IF v_looks THEN
        PERFORM 1 FROM studies WHERE study_id = v_study FOR UPDATE;
        SELECT * INTO v_search FROM mend_searches WHERE study_id = v_study;
        v_now := clock_timestamp();
        v_looks := coalesce(v_search.heard_at NOT BETWEEN v_now - v_lease / 16 AND v_now, true);
    END IF;
    UPDATE mend_workers SET seen_at = v_now, ended_at = NULL, ending = NULL WHERE worker_id = p_worker;
    UPDATE mend_items SET expires_at = v_now + v_lease WHERE worker_id = p_worker AND state = 'leased';
    UPDATE mend_tasks SET expires_at = v_now + v_lease WHERE worker_id = p_worker AND state = 'leased';
    IF v_looks THEN
        IF v_search.heard_at < v_now - v_lease / 2 THEN
            v_search.grace_until := v_now + v_lease;
            PERFORM mend_event(v_study, p_worker, 'outage',
                'no worker was heard for ' || round(extract(epoch FROM v_now - v_search.heard_at)) || ' s');
        END IF;
        UPDATE mend_searches SET heard_at = v_now, grace_until = v_search.grace_until WHERE study_id = v_study;
        IF v_now > coalesce(v_search.grace_until, v_now - v_lease) AND v_now > pg_postmaster_start_time() + v_lease THEN
            FOR v_lost IN
                SELECT worker_id FROM mend_items
                WHERE study_id = v_study AND state = 'leased' AND expires_at < v_now
                UNION
                SELECT worker_id FROM mend_tasks
                WHERE study_id = v_study AND state = 'leased' AND expires_at < v_now
            LOOP
                PERFORM mend_leave(v_lost, 'lost: its lease ran out', '', true);
            END LOOP;
            FOR v_lost IN
                UPDATE mend_workers SET ended_at = v_now, ending = 'lost: no heartbeat for a lease'
                WHERE study_id = v_study AND ended_at IS NULL AND seen_at < v_now - v_lease RETURNING worker_id
            LOOP
                PERFORM mend_event(v_study, v_lost, 'left', 'lost: no heartbeat for a lease');
            END LOOP;
        END IF;
    END IF;
    RETURN jsonb_build_object('stopping', v_search.stopping, 'held', coalesce(
        (SELECT jsonb_agg(item_id) FROM mend_items WHERE worker_id = p_worker AND state = 'leased'), '[]'));
END $$;
