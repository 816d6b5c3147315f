#!/bin/sh
# Make a folder of random passwords for docker-compose.yml.
#
#   secrets.sh FOLDER
#
# Only this user can enter the folder. The files in it can be read by whoever is handed one: containers run as users of
# their own. To change a password later: write it there, run roles.sql again, start the services again.
set -eu

fail() { echo "secrets.sh: $1" >&2; exit 2; }

[ $# = 1 ] && [ -n "$1" ] || fail "usage: secrets.sh FOLDER"
[ ! -e "$1" ] || fail "$1 is there already, and its passwords may be in use; name another folder"
mkdir -p -- "$(dirname -- "$1")"
mkdir -m 700 -- "$1"
for name in administrator mend_owner mend_worker mend_viewer dashboard_token; do
    # 32 letters and digits: no character that a URL or a shell would read otherwise
    secret=$(head -c 2048 /dev/urandom | LC_ALL=C tr -dc 'a-zA-Z0-9' | cut -c 1-32)
    [ ${#secret} = 32 ] || fail "no random bytes could be read; nothing of $1 is to be used"
    printf '%s\n' "$secret" >"$1/$name"
    chmod 444 "$1/$name"
done
echo "$1: administrator, mend_owner, mend_worker, mend_viewer, dashboard_token" >&2
