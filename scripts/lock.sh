#!/bin/sh
# Pins all dependencies with their checksums. Kept versions stay unless --upgrade is given.
# One lock serves every platform and Python from 3.11 on (Debian 12 has 3.11.2).
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh

[ -x .venv/bin/uv ] || fail "uv is missing; run \`make install\` first."

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header --custom-compile-command "make lock" "$@"
}

step "requirements/run.lock" compile "$@" pyproject.toml -o requirements/run.lock
step "requirements/test.lock" compile "$@" pyproject.toml \
    --extra torch --extra s3 --extra load --extra test \
    -c requirements/run.lock -o requirements/test.lock
step "requirements/image.lock" compile "$@" pyproject.toml --extra s3 \
    -c requirements/test.lock -o requirements/image.lock
step "requirements/installer.lock" compile "$@" requirements/installer.in \
    -c requirements/test.lock -o requirements/installer.lock
step "requirements/audit.lock" compile "$@" requirements/audit.in \
    -c requirements/test.lock -o requirements/audit.lock
