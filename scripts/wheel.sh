#!/bin/sh
# wheel.sh [COMMIT]: builds the wheel, of the files as they are or of a commit or tag, into dist/.
#
# It holds what runs: both programs, the scripts for Redis and HAProxy, the pages, the proto file and
# the sample shop. docs/how-to/install.md tells what to do with it.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh
. scripts/version.sh

[ -x .venv/bin/hatchling ] || fail "hatchling is missing; run \`make install\` first."
source=.
commit=${1:-}
if [ -n "$commit" ]; then
    git rev-parse --quiet --verify "$commit^{commit}" >/dev/null || fail "There is no commit $commit."
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    trap 'exit 130' INT TERM
    git archive "$commit" | tar -xf - -C "$source" || fail "$commit could not be taken out."
fi
version=$(version_in "$source")
check_tag "$version" "${commit:-HEAD}"

build() {
    out=$PWD/dist
    hatchling=$PWD/.venv/bin/hatchling
    mkdir -p "$out"
    (cd "$source" && "$hatchling" build -t wheel -d "$out" >/dev/null)
}

step "Building the wheel of $version" build
echo "dist/kotaemon_cluster-$version-py3-none-any.whl"
