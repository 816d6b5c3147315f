-- Devices that measure networks, and what they are asked to measure.
--
-- A *measurement* is a set of networks that a device worker times in turns: leased, given back and answered once. It goes
-- by the name of a search, as text, since a latency profile is measured before its search is registered. A device worker
-- serves a name and those that begin with it and a hyphen, which are runs beside it.

CREATE TABLE mend_devices (
    device_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,                                -- that it serves
    setting jsonb NOT NULL,                            -- runtime, device, threads, dtype, versions
    lease_s double precision NOT NULL,                 -- seconds without a heartbeat before it is considered dead
    host text NOT NULL,
    boot text NOT NULL,                                -- with host and pid it names a process
    pid integer NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    ending text                                        -- how it ended: stopped, signal 15, lost, ...
);
CREATE INDEX mend_devices_alive ON mend_devices (device_id) WHERE ended_at IS NULL;

CREATE TABLE mend_measurements (
    measurement_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token text NOT NULL UNIQUE,                        -- drawn by the one who asks, so that asking twice is asking once
    name text NOT NULL,                                -- of the search
    setting jsonb NOT NULL,                            -- what the setting of a device worker has to contain
    request jsonb NOT NULL,                            -- networks, inputs, rounds, seed
    blobs jsonb NOT NULL,                              -- digests of what it needs; none once it is over
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'failed', 'withdrawn')),
    attempts integer NOT NULL DEFAULT 0,
    device_id bigint REFERENCES mend_devices ON DELETE SET NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    wanted_at timestamptz NOT NULL DEFAULT clock_timestamp(),   -- when the one who asked looked last
    leased_at timestamptz,
    done_at timestamptz,
    answer jsonb,                                      -- times, noise, setting of the device
    log text                                           -- what the attempts left behind
);
CREATE INDEX mend_measurements_open ON mend_measurements (measurement_id) WHERE state IN ('waiting', 'leased');
CREATE INDEX mend_measurements_by_name ON mend_measurements (name);
