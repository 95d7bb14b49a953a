#!/bin/sh
# Checks the style, then runs the tests, in two processes; the last line is pytest's.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh
PATH=$PWD/.venv/bin:$PATH
# Weights are there; a test that asks the hub for more would pass here and fail elsewhere.
export PATH HF_HUB_OFFLINE=1

failed=
check() {
    step "$@" || failed="$failed $1"
}

check "ruff check" ruff check --quiet
check "ruff format" ruff format --check --quiet
check "mypy" mypy
check "lint-imports" lint-imports
# Tests that start processes wait for them most of the time: the others run beside them.
with_processes="tests/integration tests/browser tests/chaos"
say "→ pytest on $with_processes, and on the rest beside it"
[ -z "$failed" ] || say "✗ failed already:$failed"
rest_log=$(mktemp)
# shellcheck disable=SC2086 # one word a folder
python -m pytest -m "not long" tests $(printf -- '--ignore=%s ' $with_processes) \
    >"$rest_log" 2>&1 &
rest=$!
trap 'kill "$rest" 2>/dev/null || true; cat "$rest_log"; rm -f "$rest_log"' EXIT
trap 'exit 130' INT TERM
tests=0
# shellcheck disable=SC2086
python -m pytest -m "not long" $with_processes || tests=$?
say "→ the rest"
wait "$rest" || failed="$failed pytest"
[ -z "$failed" ] && exit "$tests"
exit 1
