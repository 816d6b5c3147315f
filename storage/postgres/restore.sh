#!/bin/sh
# Restore a backup into an empty database, whole or not at all.
#
#   restore.sh FILE [postgresql://mend_owner@HOST/DATABASE]
#
# Without a URL, libpq's own environment says which database, as for backup.sh. Connect as mend_owner, so that it owns
# what is restored; roles.sql, run on the new database before, has said what workers and dashboards may do with it.
set -eu

fail() { echo "restore.sh: $1" >&2; exit "${2:-2}"; }

[ $# -ge 1 ] && [ $# -le 2 ] && [ -n "$1" ] || fail "usage: restore.sh FILE [postgresql://mend_owner@HOST/DATABASE]"
file=$1
case $file in -*) fail "FILE is not to begin with a dash: got $file" ;; esac
[ -r "$file" ] || fail "$file cannot be read; check the path and its rights"
pg_restore --list "$file" >/dev/null || fail "$file is no backup that this pg_restore can read"

set -- ${2+"$2"}
if [ $# = 1 ]; then
    case $1 in
        *://*:*@* | *password=*) fail "the URL holds a password, which every user of this machine could see; put it in PGPASSWORD or ~/.pgpass" ;;
    esac
    set -- "--dbname=$(printf '%s' "$1" | sed 's,^postgresql+psycopg2://,postgresql://,')"
fi

tables="SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
found=$(psql --no-psqlrc --no-password --tuples-only --no-align --set ON_ERROR_STOP=1 --command="$tables" "$@") ||
    fail "the database cannot be reached; the lines above say why" 3
[ "$found" = 0 ] || fail "the database is not empty: it holds $found tables; restore into a new one (createdb), and nothing is written over"

[ $# = 1 ] || set -- --dbname= # pg_restore connects only where it is told so; an empty name leaves it to the environment
pg_restore --single-transaction --exit-on-error --no-owner --no-acl --no-password "$@" "$file" ||
    fail "nothing was restored; the lines above say why" 3
echo "$file: restored" >&2
