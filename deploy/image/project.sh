# Builds the project's wheel and lays out in /build/out what it adds to the environment.
set -eu
cd /build/source

environment=/opt/kotaemon/venv
/build/installer/bin/hatchling build -t wheel -d /build/wheels >/dev/null
UV_NO_CACHE=true UV_LINK_MODE=copy /build/installer/bin/uv pip install --quiet --offline --no-deps \
    --python "$environment/bin/python" /build/wheels/*.whl

packages=$(cd "$environment"/lib/python3*/site-packages && pwd)
"$environment/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    "$packages/kotaemon_node" "$packages/coordinator"
out=/build/out
mkdir -p "$out$packages" "$out$environment/bin"
cp -a "$packages/kotaemon_node" "$packages/coordinator" "$packages"/kotaemon_cluster-*.dist-info \
    "$out$packages/"
cp -a "$environment/bin/kotaemon" "$out$environment/bin/"
