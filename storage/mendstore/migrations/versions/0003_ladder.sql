-- The last rungs of a search, beside its items: they are no trials, and do not count as such.
--
-- A *task* is work that comes after the trials: to choose the finalists (`choose`), or to bring one finalist from one
-- rung to the next (`finetune`). It is leased, given back and finished once, as an item is. Tasks with the same `recipe`
-- have the same data, loss, schedule and seed. What a fine-tuning gives depends on its recipe, candidate and rung alone,
-- so a search that gets more trials, and chooses anew, keeps the fine-tunings that it has.

ALTER TABLE mend_searches ADD COLUMN store text;       -- URL of a folder for blobs that are too large for the database

CREATE TABLE mend_tasks (
    task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_id integer NOT NULL REFERENCES mend_searches ON DELETE CASCADE,
    recipe text NOT NULL,                              -- digest of all that decides how it is fine-tuned
    kind text NOT NULL CHECK (kind IN ('choose', 'finetune')),
    key text NOT NULL,                                 -- choose: number of trials; finetune: the candidate, as in items
    rung integer NOT NULL DEFAULT 0,                   -- finetune: the rung that it is brought to
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'leased', 'done', 'set_aside')),
    attempts integer NOT NULL DEFAULT 0,               -- since it last got further
    worker_id bigint REFERENCES mend_workers ON DELETE SET NULL,
    leased_at timestamptz,
    expires_at timestamptz,
    done_at timestamptz,
    rungs jsonb,                                       -- choose: {part, places} of each rung; empty without fine-tuning
    checkpoint text,                                   -- finetune: digest of the latest checkpoint
    epoch integer NOT NULL DEFAULT 0,                  -- passes that it has behind it
    spent text,                                        -- digest of the checkpoint before, which may be removed
    weights text,                                      -- digest of the fine-tuned weights
    value double precision,                            -- standing on the validation split
    tie double precision,                              -- what decides between equal values
    seconds double precision,                          -- of computing, of the worker that finished it
    log text,                                          -- what the attempts left behind
    UNIQUE (study_id, recipe, kind, key, rung)
);
CREATE INDEX mend_tasks_leased ON mend_tasks (study_id, expires_at) WHERE state = 'leased';
CREATE INDEX mend_tasks_held ON mend_tasks (worker_id) WHERE state = 'leased';

CREATE TABLE mend_finalists (
    choice bigint NOT NULL REFERENCES mend_tasks ON DELETE CASCADE,    -- the task that chose it
    position integer NOT NULL,                         -- 0, 1, ... in the order of a table
    name text NOT NULL,                                -- uniform, pre_pruned, curves, mended, mended_2, ...
    key text NOT NULL,                                 -- the candidate; several names may stand for one
    keep_counts jsonb NOT NULL,                        -- by coupling group
    score double precision,                            -- refined; null where it is not finite
    trial_id integer REFERENCES trials ON DELETE SET NULL,
    PRIMARY KEY (choice, name)
);
