#!/bin/sh
# docker compose with passwords that are made once: `docker.sh up …`, `docker.sh down`.
set -eu

file=.waybill/docker.env
if ! [ -f "$file" ]; then
    mkdir -p .waybill
    umask 077
    for role in admin storage storage_owner parser parser_owner ledger ledger_owner orchestrator orchestrator_owner; do
        password=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
        printf 'WAYBILL_PASSWORD_%s=%s\n' "$(echo "$role" | tr '[:lower:]' '[:upper:]')" "$password"
    done >"$file"
fi
exec docker compose --env-file "$file" "$@"
