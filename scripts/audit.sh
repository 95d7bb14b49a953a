#!/bin/sh
# audit.sh audit|sbom: asks whether a pinned dependency has a known weakness, or lists them all.
#
# What could not be asked counts as a failure: a check that did not happen is no good news.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh

wanted=${1:?audit or sbom}
[ -x .venv/bin/uv ] || fail "uv is missing; run \`make install\` first."

environment() {
    [ -x .audit/bin/python ] || .venv/bin/uv venv --quiet .audit
    .venv/bin/uv pip install --quiet --python .audit --require-hashes -r requirements/audit.lock
}

packages_of_python() {
    failed=
    for lock in run image test installer; do
        .audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
            -r "requirements/$lock.lock" || failed="$failed $lock.lock"
    done
    [ -z "$failed" ] || say "  weak, or not to be checked:$failed"
    [ -z "$failed" ]
}

packages_of_page() (
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    .venv/bin/python -m scripts.sbom --npm >"$folder/package.json"
    cd "$folder"
    npm install --silent --package-lock-only --ignore-scripts && npm audit --audit-level low
)

bill() {
    mkdir -p dist
    .audit/bin/cyclonedx-py requirements requirements/image.lock --pyproject pyproject.toml \
        --output-reproducible --of JSON -o - | .venv/bin/python -m scripts.sbom >dist/sbom.cdx.json
    .audit/bin/python -c 'import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open("dist/sbom.cdx.json").read())
sys.exit(str(wrong) if wrong else 0)'
}

step "Installing the tools" environment
case $wanted in
    audit)
        status=0
        step "Python packages" packages_of_python || status=1
        step "Vendored files of the page" packages_of_page || status=1
        [ "$status" -eq 0 ] || fail "a package is weak, or could not be checked (see above):" \
            "the registry must offer advisories (PyPI's JSON API, npm's audit)."
        ;;
    sbom) step "dist/sbom.cdx.json" bill ;;
    *) fail "audit or sbom, not $wanted" ;;
esac
