#!/bin/sh
# image.sh [--tag NAME:TAG] [--base IMAGE | --local-base] [--archive FILE.tar] [--torch cpu]
#          [--commit COMMIT]
#
# Builds the image of deploy/Dockerfile, of the files as they are or of a commit. Without a registry
# --local-base makes the base from Debian's packages; --archive writes a file for `docker load` or
# `ctr images import`. A company's own certificates are named by CERTIFICATES=FILE.
# docs/how-to/image.md tells more.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh
. scripts/image_steps.sh
. scripts/version.sh

tag=
base=
archive=
torch=
commit=
local=
while [ $# -gt 0 ]; do
    case $1 in
        --local-base) local=yes && shift && continue ;;
        --tag | --base | --archive | --torch | --commit) ;;
        *) fail "$1 is no option; they stand at the head of scripts/image.sh." ;;
    esac
    [ $# -gt 1 ] || fail "$1 wants a value."
    case $1 in
        --tag) tag=$2 ;;
        --base) base=$2 ;;
        --archive) archive=$2 ;;
        --torch) torch=$2 ;;
        --commit) commit=$2 ;;
    esac
    shift 2
done

builder=$(choose_builder)
[ -z "$local" ] || base=$(local_base)
revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
if [ -n "$commit" ]; then
    revision=$(git rev-parse --short "$commit^{commit}") || fail "There is no commit $commit."
    context=$(mktemp -d)
    trap 'rm -rf "$context"' EXIT
    trap 'exit 130' INT TERM
    checkout_of "$commit" "$context" || fail "$commit could not be taken out."
fi
version=$(version_in "${context:-.}")
check_tag "$version" "${commit:-HEAD}"
tag=${tag:-kotaemon-cluster:$version}
set -- --build-arg "VERSION=$version" --build-arg "REVISION=$revision"
[ -z "$base" ] || set -- "$@" --build-arg "BASE=$base"
[ -z "$torch" ] || set -- "$@" --build-arg "TORCH=$torch"
step "Building $tag with $builder" build_image "$tag" deploy/Dockerfile "$@"
say "$tag: $(image_megabytes "$tag") unpacked"
[ -z "$archive" ] || step "Writing $archive" save_image "$tag" "$archive"
