#!/bin/sh
# docker compose with passwords that are made once: `docker.sh up …`, `docker.sh down`.
set -eu

file=.waybill/docker.env
if ! [ -f "$file" ]; then
    mkdir -p .waybill
    umask 077
    for role in admin waybill_storage waybill_parser waybill_ledger waybill_orchestrator; do
        for kind in '' _owner; do
            password=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
            echo "WAYBILL_PASSWORD_$(echo "$role$kind" | tr '[:lower:]' '[:upper:]')=$password"
        done
    done >"$file"
fi
exec docker compose --env-file "$file" "$@"
