#!/bin/sh
# weaviate.sh: builds the Weaviate server that the long tests of the vector store need.
#
# It is built from its Go modules into .weaviate/, by one checksum: the module's, which holds the
# go.sum by which all others are checked. That takes five minutes of one processor, 4 GB in a folder
# that is removed afterwards (set GOMODCACHE and GOCACHE to keep it) and the module proxy.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh

version=v1.35.2
sum='h1:D/cB4Lz8BIhE8s6cMUa4dRhlz356r1LRqDLgr5pKhPA='
module=github.com/weaviate/weaviate
server=$PWD/.weaviate/weaviate-server-$version

[ ! -x "$server" ] || exit 0
command -v go >/dev/null || fail "go is missing; install Go 1.25 or newer (https://go.dev/dl/)."

work=$(mktemp -d)
clean() {
    # Go writes its modules read-only.
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
export GOMODCACHE="${GOMODCACHE:-$work/modules}" GOCACHE="${GOCACHE:-$work/build}"
export GOFLAGS="-p=2 -buildvcs=false" CGO_ENABLED=0 GOTOOLCHAIN=local

field() {
    sed -n "s/^.*\"$1\": \"\(.*\)\",*\$/\1/p" "$work/module.json"
}

download() {
    (cd "$work" && go mod download -json "$module@$version" >"$work/module.json")
}

build() {
    # Main modules are built from folders that can be written; there go.sum is what counts.
    cp -R "$(field Dir)" "$work/source" && chmod -R u+w "$work/source" &&
        (cd "$work/source" &&
            nice -n 10 go build -mod=readonly -trimpath -ldflags "-s -w" -o "$work/server" \
                ./cmd/weaviate-server)
}

step "Downloading $module $version" download || fail "The Go module proxy does not answer."
[ "$(field Sum)" = "$sum" ] || fail "$module $version has the checksum $(field Sum), not $sum."
step "Building the Weaviate server" build || fail "It could not be built; the lines above say why."
mkdir -p .weaviate
# Put there whole or not at all.
mv "$work/server" "$server.new"
mv "$server.new" "$server"
say "$server ($(du -h "$server" | cut -f1))"
