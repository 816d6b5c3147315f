#!/bin/sh
# Back a study database up into one file, whole or not at all.
#
#   backup.sh FILE [postgresql://USER@HOST/DATABASE]
#
# Without a URL, libpq's own environment says which database (PGHOST, PGUSER, PGDATABASE, PGSERVICE, ...). The password
# comes from PGPASSWORD or the password file, never from the URL: every process of the machine sees a command line.
# Searches may go on meanwhile: the file holds the database as it was at one moment.
set -eu
umask 077 # a backup holds what the database's roles guard

fail() { echo "backup.sh: $1" >&2; exit "${2:-2}"; }

[ $# -ge 1 ] && [ $# -le 2 ] && [ -n "$1" ] || fail "usage: backup.sh FILE [postgresql://USER@HOST/DATABASE]"
file=$1
case $file in -*) fail "FILE is not to begin with a dash: got $file" ;; esac
[ ! -e "$file" ] || fail "$file is there already; name another file, or move it away"
[ -d "$(dirname "$file")" ] || fail "no folder $(dirname "$file"); make it first"

set -- ${2+"$2"}
if [ $# = 1 ]; then
    case $1 in
        *://*:*@* | *password=*) fail "the URL holds a password, which every user of this machine could see; put it in PGPASSWORD or ~/.pgpass" ;;
    esac
    set -- "--dbname=$(printf '%s' "$1" | sed 's,^postgresql+psycopg2://,postgresql://,')"
fi

partial=$file.partial.$$
trap 'rm -f "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# owners and grants are left to roles.sql of the database that it is restored to
pg_dump --format=custom --no-owner --no-acl --no-password --file="$partial" "$@" ||
    fail "the database was not backed up; the lines above say why, $file was not written" 3
pg_restore --list "$partial" >/dev/null || fail "the backup cannot be read back; $file was not written" 3
sync "$partial"
mv "$partial" "$file"
echo "$file: $(wc -c <"$file" | tr -d ' ') bytes" >&2
