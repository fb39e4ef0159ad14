#!/bin/sh
# docker compose with passwords that are made once: `docker.sh up …`, `docker.sh down`.
set -eu

file=.waybill/docker.env
if ! [ -f "$file" ]; then
    mkdir -p .waybill
    umask 077
    for role in ADMIN WAYBILL_STORAGE WAYBILL_STORAGE_OWNER WAYBILL_PARSER WAYBILL_PARSER_OWNER \
        WAYBILL_LEDGER WAYBILL_LEDGER_OWNER WAYBILL_ORCHESTRATOR WAYBILL_ORCHESTRATOR_OWNER; do
        echo "WAYBILL_PASSWORD_$role=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')"
    done >"$file"
fi
exec docker compose --env-file "$file" "$@"
