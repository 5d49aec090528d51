#!/bin/sh
# Creates the role of api and worker when the database is first initialized.
# `rollcall migrate` grants it its rights: see docs/operations.md.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_APP_PASSWORD" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE rc_app LOGIN PASSWORD :'password' NOSUPERUSER NOCREATEDB NOCREATEROLE;
REVOKE TEMPORARY ON DATABASE rollcall FROM PUBLIC;
SQL
