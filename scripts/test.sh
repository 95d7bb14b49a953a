#!/bin/sh
# Checks the style, then runs the tests; the last line is pytest's.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh
PATH=$PWD/.venv/bin:$PATH
# Weights are there; a test that asks the hub for more would pass here and fail elsewhere.
export PATH HF_HUB_OFFLINE=1
# pytest compiles every file of tests its own way, and each of its processes would do all of them.
unset PYTHONDONTWRITEBYTECODE

failed=
check() {
    step "$@" || failed="$failed $1"
}

check "ruff check" ruff check --quiet
check "ruff format" ruff format --check --quiet
# Each of the two computes on one core, side by side: mypy, and imports with a look at all tests.
imports=$(mktemp)
trap 'rm -f "$imports"' EXIT
{ lint-imports && python -m pytest --collect-only -qq; } >"$imports" 2>&1 &
linting=$!
check "mypy" mypy
shown_imports() {
    wait "$linting" && return 0
    tail -n 60 "$imports"
    return 1
}
check "lint-imports, tests collected" shown_imports
# Three at a time, a file after the other: what waits for processes beside what computes; with two
# at a time two cores did nothing for half of the time. What fails once is run again, once, and
# named as RERUN at the end: it passed, but somebody must look at it.
say "→ pytest"
[ -z "$failed" ] || say "✗ failed already:$failed"
python -m pytest -m "not long" --numprocesses 3 --dist loadfile --no-loadscope-reorder -rfEsxXR \
    --reruns 1 --rerun-show-tracebacks || failed="$failed pytest"
[ -z "$failed" ]
