#!/bin/sh
# Generates the Python code of protos/ into a folder: `protos.sh FOLDER`, or compares: `protos.sh --check`.
set -eu

generate() {
    find protos -name '*.proto' -exec .venv/bin/python -m grpc_tools.protoc -Iprotos \
        "--python_out=$1" "--pyi_out=$1" {} +
    find protos -name '*_service.proto' -exec .venv/bin/python -m grpc_tools.protoc -Iprotos \
        --plugin=protoc-gen-mypy_grpc=.venv/bin/protoc-gen-mypy_grpc \
        "--grpc_python_out=$1" "--mypy_grpc_out=$1" {} +
}

if [ "${1:-}" != --check ]; then
    generate "${1:-.}"
    exit
fi

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
status=0
for folder in waybill/*/v1; do
    mkdir -p "$fresh/$folder"
    diff -r -x __pycache__ "$folder" "$fresh/$folder" || status=1
done
for folder in "$fresh"/waybill/*/v1; do
    [ -d "${folder#"$fresh"/}" ] || { echo "${folder#"$fresh"/} is missing"; status=1; }
done
[ "$status" = 0 ] || echo 'The generated code is not what protos/ gives: run make proto and commit.' >&2
exit "$status"
