#!/bin/sh
# image.sh [--tag NAME:TAG] [--base IMAGE | --local-base] [--archive FILE.tar] [--torch cpu]
#          [--revision TEXT]
#
# Builds the image of deploy/Dockerfile. Without a registry --local-base makes the base from Debian's
# packages; --archive writes a file for `docker load` or `ctr images import`. A company's own
# certificates are named by CERTIFICATES=FILE. docs/how-to/image.md tells more.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh
. scripts/image_steps.sh

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
tag=kotaemon-cluster:$version
base=
archive=
torch=
revision=$(git describe --always --dirty 2>/dev/null || echo unknown)
local=
while [ $# -gt 0 ]; do
    case $1 in
        --local-base) local=yes && shift && continue ;;
        --tag | --base | --archive | --torch | --revision) ;;
        *) fail "$1 is no option; they stand at the head of scripts/image.sh." ;;
    esac
    [ $# -gt 1 ] || fail "$1 wants a value."
    case $1 in
        --tag) tag=$2 ;;
        --base) base=$2 ;;
        --archive) archive=$2 ;;
        --torch) torch=$2 ;;
        --revision) revision=$2 ;;
    esac
    shift 2
done

builder=$(choose_builder)
[ -z "$local" ] || base=$(local_base)
set -- --build-arg "VERSION=${tag##*:}" --build-arg "REVISION=$revision"
[ -z "$base" ] || set -- "$@" --build-arg "BASE=$base"
[ -z "$torch" ] || set -- "$@" --build-arg "TORCH=$torch"
step "Building $tag with $builder" build_image "$tag" deploy/Dockerfile "$@"
say "$tag: $(image_megabytes "$tag") unpacked"
[ -z "$archive" ] || step "Writing $archive" save_image "$tag" "$archive"
