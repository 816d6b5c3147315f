-- Tables of a fleet, beside those of stock Optuna 5, which stay as they are but for two indexes.
--
-- An *item* is a piece of work that is claimed, leased and finished once: a candidate to be scored. A trial is one
-- attempt at it. A search of `trials` = N holds exactly N items that are waiting, leased or done; items that were set
-- aside do not count. Trials that no item names belong to a stock optimizer: they are neither counted nor touched.

CREATE INDEX mend_trial_numbers ON trials (study_id, number);
CREATE INDEX mend_trials_enqueued ON trials (study_id) WHERE state = 'WAITING';

CREATE TABLE mend_searches (
    study_id integer PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    trials integer NOT NULL CHECK (trials > 0),        -- N
    claimed integer NOT NULL DEFAULT 0,                -- items waiting, leased or done
    distributions jsonb NOT NULL,                      -- by parameter, Optuna's JSON
    fingerprint text NOT NULL,                         -- equal where scores mean the same
    spec jsonb NOT NULL,
    versions jsonb NOT NULL,                           -- of the packages of the creator
    blobs jsonb NOT NULL DEFAULT '{}',                 -- digest by role
    lease_s double precision NOT NULL,
    stopping boolean NOT NULL DEFAULT false,
    heard_at timestamptz,                              -- when a worker renewed last, to a sixteenth of a lease
    grace_until timestamptz,                           -- no lease ends before: every one starts anew after an outage
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE mend_workers (
    worker_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id integer NOT NULL REFERENCES mend_searches ON DELETE CASCADE,
    ordinal integer NOT NULL,                          -- 0, 1, … within the search
    host text NOT NULL,
    boot text NOT NULL,                                -- with host and pid it names a process
    pid integer NOT NULL,
    device text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    ending text                                        -- how it ended: finished, stopped, signal 15, lost, …
);
CREATE INDEX mend_workers_alive ON mend_workers (study_id) WHERE ended_at IS NULL;

CREATE TABLE mend_items (
    item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id integer NOT NULL REFERENCES mend_searches ON DELETE CASCADE,
    kind text NOT NULL DEFAULT 'trial',
    key text,                                          -- the candidate; null until a worker has read a stock request
    params jsonb NOT NULL,                             -- parameters in Optuna's internal form
    asked boolean NOT NULL DEFAULT false,              -- `params` are what stock `enqueue_trial` was given, unprojected
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'set_aside')),
    attempts integer NOT NULL DEFAULT 0,
    trial_id integer REFERENCES trials ON DELETE CASCADE,   -- the latest attempt
    worker_id bigint REFERENCES mend_workers ON DELETE SET NULL,
    leased_at timestamptz,
    expires_at timestamptz,
    log text                                           -- what the attempts left behind
);
CREATE INDEX mend_items_waiting ON mend_items (study_id, item_id) WHERE state = 'waiting';
CREATE INDEX mend_items_leased ON mend_items (study_id, expires_at) WHERE state = 'leased';
CREATE INDEX mend_items_held ON mend_items (worker_id) WHERE state = 'leased';
CREATE INDEX mend_items_set_aside ON mend_items (study_id) WHERE state = 'set_aside';
CREATE INDEX mend_items_known ON mend_items (study_id, key);
CREATE INDEX mend_items_trials ON mend_items (trial_id);

CREATE TABLE mend_events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id integer NOT NULL REFERENCES mend_searches ON DELETE CASCADE,
    worker_id bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL,
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX mend_events_by_search ON mend_events (study_id, event_id);

CREATE TABLE mend_blobs (
    digest text PRIMARY KEY,                           -- sha256 of the content, hexadecimal
    bytes bigint NOT NULL,
    place text,                                        -- URL of the content where it is not in `mend_chunks`
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE mend_chunks (
    digest text NOT NULL REFERENCES mend_blobs ON DELETE CASCADE,
    number integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (digest, number)
);
ALTER TABLE mend_chunks ALTER COLUMN content SET STORAGE EXTERNAL;
