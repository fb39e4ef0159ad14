#!/bin/sh
# Calls a running service by reflection: SVC=storage METHOD=StatObject DATA='{…}' TENANT=local in the environment.
# METHOD may be a bare name, or Service/Method in full; without it the service's methods are listed.
set -eu

address=$(.venv/bin/python -c '
import sys
from waybill.cli.stack import here
from waybill.stack.operate import running

found = running(here())
sys.exit("No stack is running; start it: make up") if found is None else None
name = sys.argv[1]
if name not in found.addresses:
    names = ", ".join(sorted(set(found.addresses) - {"postgres"}))
    sys.exit(f"SVC={name!r} is no service: SVC may be {names}")
print(found.addresses[name])
' "${SVC:-}")

method=${METHOD:-}
case $method in
'' | */*) ;;
*)
    file=$(grep -l "rpc $method(" protos/waybill/"$SVC"/v1/*_service.proto) || {
        echo "$SVC has no method $method; make call SVC=$SVC lists what it has." >&2
        exit 1
    }
    method=waybill.$SVC.v1.$(sed -n 's/^service \([A-Za-z]*\).*/\1/p' "$file")/$method
    ;;
esac

tenant="x-waybill-tenant: ${TENANT:-local}"
if command -v grpcurl >/dev/null 2>&1; then
    if [ -z "$method" ]; then exec grpcurl -plaintext "$address" describe; fi
    exec grpcurl -plaintext -H "$tenant" -d "${DATA:-{\}}" "$address" "$method"
fi
buf=.venv/bin/buf
if ! [ -x "$buf" ]; then buf=$(command -v buf) || {
    echo 'Neither grpcurl nor buf is here: install grpcurl, or run make test once, which brings buf.' >&2
    exit 1
}; fi
if [ -z "$method" ]; then exec "$buf" curl --protocol grpc --http2-prior-knowledge --list-methods "http://$address"; fi
exec "$buf" curl --protocol grpc --http2-prior-knowledge -H "$tenant" -d "${DATA:-{\}}" "http://$address/$method"
