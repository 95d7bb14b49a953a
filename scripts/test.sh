#!/bin/sh
# Checks the style, then runs the tests; the last line is pytest's.
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
say "→ pytest"
[ -z "$failed" ] || say "✗ failed already:$failed"
tests=0
python -m pytest -m "not long" || tests=$?
[ -z "$failed" ] && exit "$tests"
exit 1
