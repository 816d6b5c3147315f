-- Roles of a study database, each with the least that it needs:
--
--   mend_owner   owns the tables: for people, who migrate, create and remove searches, back up and restore
--   mend_worker  runs trials, and measures on devices: reads, inserts, updates; no DELETE, no TRUNCATE, no change of schema
--   mend_viewer  dashboards: reads
--
-- Run it as an administrator on a database of its own, before or after the first migration, and as often as wanted:
--
--   psql --dbname mendsearch --file roles.sql
--
-- Passwords come from the environment: MEND_OWNER_PASSWORD, MEND_WORKER_PASSWORD, MEND_VIEWER_PASSWORD. A role whose
-- variable is not set keeps the password it has; a new one cannot log in before `\password mend_worker` in psql.

\set ON_ERROR_STOP on
\set QUIET on
\getenv owner_password MEND_OWNER_PASSWORD
\getenv worker_password MEND_WORKER_PASSWORD
\getenv viewer_password MEND_VIEWER_PASSWORD
SET client_min_messages = warning;
SELECT current_setting('is_superuser') = 'on' AS superuser \gset

-- Grants below are on whole schemas: another program's tables must not be among them.
DO $$
DECLARE v_foreign text;
BEGIN
    SELECT string_agg(relname, ', ' ORDER BY relname) INTO v_foreign FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') AND relname !~ '^mend_'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
      AND relname NOT IN (
          'alembic_version', 'version_info', 'studies', 'study_directions', 'study_user_attributes',
          'study_system_attributes', 'trials', 'trial_user_attributes', 'trial_system_attributes', 'trial_params',
          'trial_values', 'trial_intermediate_values', 'trial_heartbeats');
    IF v_foreign IS NOT NULL THEN
        RAISE EXCEPTION 'database % holds tables of another program: %; give mendsearch a database of its own',
            current_database(), v_foreign;
    END IF;
END $$;

SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['mend_owner', 'mend_worker', 'mend_viewer']) name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

\if :superuser
\else
    GRANT mend_owner TO CURRENT_USER; -- an administrator of a hosted Postgres has to be a member to give things to it
\endif

-- Passwords. They would stand in the server's log, which only a superuser may keep silent.
\if :superuser
    SET log_statement = 'none';
    SET log_min_duration_statement = -1;
    SET log_min_error_statement = 'panic';
    \if :{?owner_password}
        ALTER ROLE mend_owner PASSWORD :'owner_password';
    \endif
    \if :{?worker_password}
        ALTER ROLE mend_worker PASSWORD :'worker_password';
    \endif
    \if :{?viewer_password}
        ALTER ROLE mend_viewer PASSWORD :'viewer_password';
    \endif
    RESET log_statement;
    RESET log_min_duration_statement;
    RESET log_min_error_statement;
\else
    \warn 'roles.sql: no passwords set, since this role is no superuser; set them in psql with \\password'
\endif

-- The way in is closed to everyone else.
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"DBNAME" TO mend_owner, mend_worker, mend_viewer;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO mend_owner, mend_worker, mend_viewer;
GRANT CREATE ON SCHEMA public TO mend_owner;

-- What an earlier user made becomes the owner's. Sequences and row types follow their tables.
DO $$
DECLARE v_change text;
BEGIN
    FOR v_change IN
        SELECT format('ALTER TABLE %s OWNER TO mend_owner', oid::regclass) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
          AND relowner <> 'mend_owner'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO mend_owner', oid::regtype) FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype = 'e' AND typowner <> 'mend_owner'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_type.oid AND deptype = 'e')
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO mend_owner', oid::regprocedure) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace AND proname ~ '^mend_' AND proowner <> 'mend_owner'::regrole
    LOOP
        EXECUTE v_change;
    END LOOP;
END $$;

-- What is there, and what later migrations will make.
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO mend_worker;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO mend_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO mend_viewer;
REVOKE EXECUTE ON ALL ROUTINES IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO mend_worker, mend_viewer; -- with their caller's rights, but for
-- mend_forget and mend_forget_networks, which remove checkpoints that later ones have replaced, and networks that a device
-- has measured

ALTER DEFAULT PRIVILEGES FOR ROLE mend_owner IN SCHEMA public GRANT SELECT, INSERT, UPDATE ON TABLES TO mend_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE mend_owner IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO mend_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE mend_owner IN SCHEMA public GRANT SELECT ON TABLES TO mend_viewer;
ALTER DEFAULT PRIVILEGES FOR ROLE mend_owner REVOKE EXECUTE ON ROUTINES FROM PUBLIC; -- a default of the whole role
ALTER DEFAULT PRIVILEGES FOR ROLE mend_owner IN SCHEMA public GRANT EXECUTE ON ROUTINES TO mend_worker, mend_viewer;

-- Here, since a session's own settings do not survive PgBouncer. 20 s is a third of a lease of 60 s: a worker that waits
-- longer could not renew in time, gives up, and tries again.
ALTER ROLE mend_worker SET lock_timeout = '20s';
ALTER ROLE mend_worker SET statement_timeout = '20s';
ALTER ROLE mend_viewer SET statement_timeout = '60s';
ALTER ROLE mend_viewer SET default_transaction_read_only = on; -- says so earlier and more clearly than its rights do
ALTER ROLE mend_viewer CONNECTION LIMIT 30;                    -- dashboards leave room for workers
