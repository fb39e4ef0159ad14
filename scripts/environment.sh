#!/bin/sh
# Makes .venv from a hashed lock: `environment.sh run` (run-time packages) or `environment.sh dev` (all).
# uv where it is there, else pip. A stamp makes the next call quick.
set -eu

kind=${1:-run}
here=$(pwd -P)

say() {
    printf '%s\n' "$*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.14 python3.13 python3.12 python3.11; fi
    for candidate; do
        if new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    say "Waybill needs Python 3.11 or newer, and ${PYTHON:-python3} is not that." \
        "Install one, or name it: make demo PYTHON=python3.12"
}

wanted() {
    printf '%s %s\n' "$1" "$here"
    cat requirements.lock requirements-dev.lock pyproject.toml | cksum
}

current() {
    [ -f ".venv/waybill-$1" ] && [ "$(cat ".venv/waybill-$1")" = "$(wanted "$1")" ]
}

create() {
    [ -w . ] || say "The folder $here cannot be written: copy the project to one of yours and run make there."
    rm -rf .venv
    if [ -n "$uv" ]; then
        uv venv --quiet --python "$python" .venv
    elif ! "$python" -m venv .venv >.venv.log 2>&1; then
        cat .venv.log >&2
        rm -rf .venv .venv.log
        say "$python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv;" \
            "or install uv. Then run make again."
    fi
    rm -f .venv.log
}

install() {
    if [ -n "$uv" ]; then
        VIRTUAL_ENV="$here/.venv" uv pip install --quiet "$@"
    else
        .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@"
    fi || say "The packages could not be installed; the lines above say why." \
        "Behind a mirror, set PIP_INDEX_URL (or UV_DEFAULT_INDEX) and run make again."
}

if current "$kind" || current dev; then exit 0; fi

uv=
if uv --version >/dev/null 2>&1; then uv=yes; fi
export UV_PYTHON_DOWNLOADS=never
# A home that cannot be written has no room for a cache of packages.
[ -w "${HOME:-/}" ] || export UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1

python=$(find_python)
printf 'making the environment in .venv (%s packages)\n' "$kind" >&2
if ! new_enough .venv/bin/python || [ ! -f .venv/waybill-place ] || [ "$(cat .venv/waybill-place)" != "$here" ]; then
    create
    printf '%s\n' "$here" >.venv/waybill-place
fi
lock=requirements.lock
[ "$kind" = dev ] && lock=requirements-dev.lock
install --require-hashes -r "$lock"
install --no-deps --no-build-isolation -e .
wanted "$kind" >".venv/waybill-$kind"
