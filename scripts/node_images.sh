#!/bin/sh
# node_images.sh FOLDER [--base IMAGE | --local-base]
#
# Builds stand-ins of redis, haproxy and apache/kafka, by the names that the chart asks for, and
# writes them to FOLDER as archives: for a cluster that reaches no registry.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh
. scripts/image_steps.sh

folder=${1:?a folder}
base=
case ${2:-} in
    --local-base) base=local ;;
    --base) base=${3:?an image} ;;
    "") ;;
    *) fail "$2 is no option." ;;
esac
builder=$(choose_builder)
[ "$base" != local ] || base=$(local_base)
step "Fetching the Kafka broker (45 MB)" .venv/bin/python -m kotaemon_node.local.broker_jars
mkdir -p "$folder"

# The names as in helm/kotaemon/values.yaml.
for image in redis:7.2-bookworm haproxy:2.6-bookworm apache/kafka:4.1.0; do
    stage=${image%:*}
    stage=${stage##*/}
    set -- --target "$stage"
    [ -z "$base" ] || set -- "$@" --build-arg "BASE=$base"
    step "Building a stand-in of $image" build_image "$image" deploy/image/node.Dockerfile "$@" \
        >"$folder/$stage.log" || fail "$folder/$stage.log says why."
    step "Writing $folder/$stage.tar ($(image_megabytes "$image"))" \
        save_image "$image" "$folder/$stage.tar"
done
