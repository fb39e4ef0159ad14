#!/bin/sh
# Writes requirements.lock (to run) and requirements-dev.lock (to test): hashes, no hosts, all platforms.
set -eu

compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"
}

export UV_PYTHON_DOWNLOADS=never
# hatchling and editables build the project itself, which is installed without build isolation.
printf 'hatchling\neditables\n' | compile --extra stack pyproject.toml - -o requirements.lock >/dev/null
compile --extra stack --extra sentences --extra onnx --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock >/dev/null
