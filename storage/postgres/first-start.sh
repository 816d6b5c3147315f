#!/bin/sh
# Run once by the official Postgres image, when its data folder is new: the roles, with the passwords of docker-compose.yml.
set -eu
for role in owner worker viewer; do
    password=$(cat "/run/secrets/mend_$role")
    export "MEND_$(echo "$role" | tr '[:lower:]' '[:upper:]')_PASSWORD=$password"
done
psql --no-psqlrc --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file /opt/mendsearch/roles.sql
