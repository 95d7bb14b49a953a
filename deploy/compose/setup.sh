#!/bin/sh
# Makes what the other services need before they start: keys, passwords, sample documents. Whatever
# is there already stays, so that each `docker compose up` may run this again.
set -eu
umask 022
secrets=/var/lib/kotaemon/secrets
knowledge=/var/lib/kotaemon/knowledge

# Writes standard input into a file, whole or not at all. Each volume is mounted only where its
# files are meant to be read, by users of other images too: therefore they are readable there.
put() {
    cat >"$1.new"
    mv "$1.new" "$1"
}

random() {
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'
}

# settle FILE VALUE: the value of .env where there is one, else what is there, else a random one.
settle() {
    if [ -n "$2" ]; then
        printf '%s' "$2" | put "$1"
    elif [ ! -s "$1" ]; then
        random | put "$1"
    fi
}

settle "$secrets/redis/password" ''
printf 'requirepass %s\n' "$(cat "$secrets/redis/password")" | put "$secrets/redis/password.conf"
settle "$secrets/cluster/artifact-token" ''
settle "$secrets/cluster/admin-key" "${ADMIN_KEY:-}"
# Never replaced: without it no entry of the audit log can be verified any more.
settle "$secrets/cluster/audit.keys" ''
# Never replaced: without it nothing that was sealed can be read again.
settle "$secrets/cluster/master.keys" ''
settle "$secrets/grafana/password" "${GRAFANA_ADMIN_PASSWORD:-}"
put "$secrets/cluster/environment" <<EOF
REDIS_URL=redis://:$(cat "$secrets/redis/password")@redis:6379/0
ARTIFACT_TOKEN=$(cat "$secrets/cluster/artifact-token")
EOF

[ -f "$secrets/signing/signing.pem" ] || kotaemon signing-key create "$secrets/signing/signing.pem"
[ -s "$secrets/cluster/signing.pub" ] ||
    kotaemon signing-key show "$secrets/signing/signing.pem" | put "$secrets/cluster/signing.pub"

# The volume begins with the sample shop; a folder of yours is left as it is.
if [ "$KNOWLEDGE" = knowledge ] && [ ! -e "$knowledge/.begun" ]; then
    cp -R /opt/kotaemon/sample/knowledge/. "$knowledge/"
    : >"$knowledge/.begun"
fi
if [ ! -w "$knowledge" ]; then
    echo "setup: $KNOWLEDGE is not writable for user 10001: uploads and deletions will fail" >&2
fi
