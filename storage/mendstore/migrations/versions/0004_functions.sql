-- Functions of measurements. A measurement is leased as long as its device worker is heard; answered once, whoever brings
-- the answer first; and its networks are removed in the transaction that ends it.
--
-- Locks are taken in one order: devices, the lock on measurements, their rows, the locks on blobs.

CREATE OR REPLACE FUNCTION mend_lock_measurements() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('mendsearch/measurements', 0))
$$;

CREATE OR REPLACE FUNCTION mend_serves(p_served text, p_name text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_name = p_served OR starts_with(p_name, p_served || '-')
$$;

-- Ask for a measurement; null if one of the blobs that it needs is not there any more, so that it is put again.
CREATE OR REPLACE FUNCTION mend_measure(
    p_token text, p_name text, p_setting jsonb, p_request jsonb, p_blobs jsonb
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_id bigint;
BEGIN
    PERFORM mend_lock_measurements();
    SELECT measurement_id INTO v_id FROM mend_measurements WHERE token = p_token;
    IF v_id IS NOT NULL THEN
        RETURN v_id;
    ELSIF EXISTS (SELECT 1 FROM jsonb_array_elements_text(p_blobs) named
               WHERE NOT EXISTS (SELECT 1 FROM mend_blobs b WHERE b.digest = named.value)) THEN
        RETURN NULL;
    END IF;
    INSERT INTO mend_measurements (token, name, setting, request, blobs)
    VALUES (p_token, p_name, p_setting, p_request, p_blobs) RETURNING measurement_id INTO v_id;
    RETURN v_id;
END $$;

-- Remove the networks of a measurement that is over, unless something else names them. It runs with the rights of the
-- owner, since workers may delete nothing else; what a store outside holds, the collection of garbage removes.
CREATE OR REPLACE FUNCTION mend_forget_networks(p_measurement bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE v_blobs jsonb;
BEGIN
    PERFORM mend_lock_measurements();
    SELECT blobs INTO v_blobs FROM mend_measurements
    WHERE measurement_id = p_measurement AND state NOT IN ('waiting', 'leased') FOR UPDATE;
    PERFORM pg_advisory_xact_lock(hashtextextended('mendsearch/blob/' || named.value, 0))
    FROM (SELECT DISTINCT value FROM jsonb_array_elements_text(v_blobs) ORDER BY value) named;
    UPDATE mend_measurements SET blobs = '[]' WHERE measurement_id = p_measurement AND v_blobs IS NOT NULL;
    DELETE FROM mend_blobs b
    WHERE b.place IS NULL AND b.digest IN (SELECT value FROM jsonb_array_elements_text(v_blobs))
        AND NOT EXISTS (SELECT 1 FROM mend_measurements m WHERE m.state IN ('waiting', 'leased') AND m.blobs ? b.digest)
        AND NOT EXISTS (SELECT 1 FROM mend_tasks t WHERE b.digest IN (t.checkpoint, t.weights))
        AND NOT EXISTS (SELECT 1 FROM mend_searches s, jsonb_each_text(s.blobs) n WHERE n.value = b.digest);
END $$;

-- End a measurement that is open: `recorded`, or `late` if this device's lease was lost. Otherwise `dropped`.
CREATE OR REPLACE FUNCTION mend_end_measurement(
    p_measurement bigint, p_device bigint, p_state text, p_answer jsonb, p_log text
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_before mend_measurements;
BEGIN
    PERFORM mend_lock_measurements();
    SELECT * INTO v_before FROM mend_measurements WHERE measurement_id = p_measurement FOR UPDATE;
    IF NOT FOUND OR v_before.state NOT IN ('waiting', 'leased') THEN
        RETURN 'dropped';
    END IF;
    UPDATE mend_measurements SET state = p_state, device_id = coalesce(p_device, device_id), answer = p_answer,
        done_at = clock_timestamp(), log = nullif(concat_ws(E'\n', log, p_log), '')
    WHERE measurement_id = p_measurement;
    PERFORM mend_forget_networks(p_measurement);
    RETURN CASE WHEN v_before.state = 'leased' AND v_before.device_id IS NOT DISTINCT FROM p_device THEN 'recorded'
        ELSE 'late' END;
END $$;

-- Let the measurement of a device worker wait again. With `p_counts` it may be its fault: after three it has failed.
CREATE OR REPLACE FUNCTION mend_measurement_back(p_measurement bigint, p_reason text, p_counts boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE v_before mend_measurements; v_log text;
BEGIN
    PERFORM mend_lock_measurements();
    SELECT * INTO v_before FROM mend_measurements WHERE measurement_id = p_measurement AND state = 'leased' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_log := 'attempt ' || v_before.attempts || ': ' || p_reason;
    IF p_counts AND v_before.attempts >= 3 THEN
        PERFORM mend_end_measurement(p_measurement, v_before.device_id, 'failed', NULL, v_log);
    ELSE
        UPDATE mend_measurements SET state = 'waiting', device_id = NULL, log = concat_ws(E'\n', log, v_log),
            attempts = attempts - CASE WHEN p_counts THEN 0 ELSE 1 END
        WHERE measurement_id = p_measurement;
    END IF;
END $$;

-- A device worker ends, or is known to have ended: what it held waits again.
CREATE OR REPLACE FUNCTION mend_device_leave(p_device bigint, p_ending text, p_counts boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE mend_devices SET ended_at = clock_timestamp(), ending = p_ending
    WHERE device_id = p_device AND ended_at IS NULL;
    PERFORM mend_measurement_back(measurement_id, p_ending, p_counts) FROM (
        SELECT measurement_id FROM mend_measurements WHERE device_id = p_device AND state = 'leased'
        ORDER BY measurement_id) held;
END $$;

-- Device workers that were not heard for a lease have ended. After a start of the server nobody could be heard, so
-- nothing ends before a whole lease has passed.
CREATE OR REPLACE FUNCTION mend_devices_lost() RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_lost bigint;
BEGIN
    FOR v_lost IN
        SELECT device_id FROM mend_devices
        WHERE ended_at IS NULL AND seen_at < clock_timestamp() - make_interval(secs => lease_s)
            AND clock_timestamp() > pg_postmaster_start_time() + make_interval(secs => lease_s)
        ORDER BY device_id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM mend_device_leave(v_lost, 'lost: its lease ran out', true);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION mend_device_join(
    p_name text, p_setting jsonb, p_lease_s double precision, p_host text, p_boot text, p_pid integer
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO mend_devices (name, setting, lease_s, host, boot, pid)
    VALUES (p_name, p_setting, p_lease_s, p_host, p_boot, p_pid) RETURNING device_id
$$;

-- Renew the lease of a device worker; one that was considered dead is back.
CREATE OR REPLACE FUNCTION mend_device_renew(p_device bigint) RETURNS boolean LANGUAGE sql AS $$
    WITH renewed AS (
        UPDATE mend_devices SET seen_at = clock_timestamp(), ended_at = NULL, ending = NULL
        WHERE device_id = p_device RETURNING 1)
    SELECT EXISTS (SELECT 1 FROM renewed)
$$;

-- Claim a measurement; null if none waits for this device. Nobody measures what nobody waits for: where the one who asked
-- has not looked for ten minutes, it is not handed out. The answer may be lost on the way; a device worker claims only
-- when it holds nothing, so what it is said to hold is handed out to it again.
CREATE OR REPLACE FUNCTION mend_device_claim(p_device bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE v_device mend_devices; v_id bigint;
BEGIN
    PERFORM mend_device_renew(p_device);
    SELECT * INTO v_device FROM mend_devices WHERE device_id = p_device;
    SELECT measurement_id INTO v_id FROM mend_measurements WHERE device_id = p_device AND state = 'leased' LIMIT 1;
    IF v_id IS NULL THEN
        PERFORM mend_devices_lost();
        SELECT measurement_id INTO v_id FROM mend_measurements
        WHERE state = 'waiting' AND mend_serves(v_device.name, name) AND v_device.setting @> setting
            AND wanted_at > clock_timestamp() - interval '10 minutes'
        ORDER BY measurement_id LIMIT 1 FOR UPDATE SKIP LOCKED;
        UPDATE mend_measurements SET state = 'leased', attempts = attempts + 1, device_id = p_device,
            leased_at = clock_timestamp()
        WHERE measurement_id = v_id;
    END IF;
    RETURN (SELECT jsonb_build_object('measurement_id', measurement_id, 'attempt', attempts, 'request', request)
            FROM mend_measurements WHERE measurement_id = v_id);
END $$;

-- Look at measurements that one has asked for: state, answer, log; and whether a device worker is there for each.
CREATE OR REPLACE FUNCTION mend_measured(p_measurements jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mend_devices_lost();
    UPDATE mend_measurements SET wanted_at = clock_timestamp()
    WHERE measurement_id IN (SELECT value::bigint FROM jsonb_array_elements_text(p_measurements))
        AND state IN ('waiting', 'leased') AND wanted_at < clock_timestamp() - interval '10 seconds';
    RETURN (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'measurement_id', m.measurement_id, 'state', m.state, 'answer', m.answer, 'log', m.log,
            'served', EXISTS (SELECT 1 FROM mend_devices d WHERE d.ended_at IS NULL
                              AND mend_serves(d.name, m.name) AND d.setting @> m.setting)
        ) ORDER BY m.measurement_id), '[]')
        FROM mend_measurements m
        WHERE m.measurement_id IN (SELECT value::bigint FROM jsonb_array_elements_text(p_measurements)));
END $$;

-- Nobody waits for these any more.
CREATE OR REPLACE FUNCTION mend_withdraw(p_measurements jsonb) RETURNS void LANGUAGE sql AS $$
    SELECT mend_end_measurement(measurement_id, NULL, 'withdrawn', NULL, NULL) FROM (
        SELECT measurement_id FROM mend_measurements
        WHERE measurement_id IN (SELECT value::bigint FROM jsonb_array_elements_text(p_measurements))
            AND state IN ('waiting', 'leased')
        ORDER BY measurement_id) open
$$;

-- The first worker that comes in a sixteenth of a lease also puts back what others let expire, under the lock on the
-- study; otherwise each of a thousand workers would look at all of them. Where no worker was heard for half a lease, or
-- the server has just started, the database could not be reached and nobody could renew: nothing expires before a whole
-- lease has passed. A search that nobody worked on, and that new workers take up, had a pause, and no outage
-- is noted.
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
            IF EXISTS (
                SELECT FROM mend_workers
                WHERE study_id = v_study AND ended_at IS NULL AND started_at <= v_search.heard_at
            ) THEN
                PERFORM mend_event(v_study, p_worker, 'outage',
                    'no worker was heard for ' || round(extract(epoch FROM v_now - v_search.heard_at)) || ' s');
            END IF;
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
