# Installs requirements/image.lock, checked by checksum, into the environment of the image.
set -eu
cd /build

export UV_SYSTEM_CERTS=true UV_LINK_MODE=copy UV_NO_CACHE=true
uv() {
    /build/installer/bin/uv "$@"
}
python=/opt/kotaemon/venv/bin/python

uv pip install --quiet --python "$python" --require-hashes -r requirements/image.lock
if [ -n "${TORCH:-}" ]; then
    # Wheels of one kind of processor have other checksums than those of the package index, which
    # the lock holds: the versions are pinned, the checksums are the business of their index.
    grep -E '^[A-Za-z0-9._-]+==' requirements/test.lock | sed 's/ \\$//' >torch.constraints
    uv pip install --quiet --python "$python" --torch-backend "$TORCH" \
        --constraint torch.constraints sentence-transformers
fi
# Root is read-only later: what is not compiled now is compiled again at every start. By unchecked
# hash, so that it is right whatever times the files get on their way.
"$python" -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/kotaemon/venv/lib || true
