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

digest() {
    printf '%s' "$(cat "$1")" | sha256sum | cut -d ' ' -f 1
}

# redis_user PART WORD: a password of the part's own, where only that part finds it; adds its line
# of Redis's users, from the table of rights, in which WORD stands for the digest of the password.
redis_user() {
    settle "$secrets/$1/redis-password" ''
    put "$secrets/$1/environment" <<EOF
REDIS_URL=redis://$1@redis:6379/0?password_file=/var/lib/kotaemon/secrets/own/redis-password
EOF
    chmod 600 "$secrets/$1/redis-password"
    line=$(printf '%s\n' "$rights" | grep "^user $1 ")
    password=$(digest "$secrets/$1/redis-password")
    users="$users
$(printf '%s\n' "$line" | sed "s/#$2/#$password/; s/\$/$more/")"
}

# Of Redis's own default user, who may do everything: for Redis's health check, and for people.
settle "$secrets/redis/password" ''
rights=$(kotaemon rights redis)
more=
# Asked for alone: a Redis before 7.2 does not know it.
[ "${DURABILITY:-local}" != fsync ] || more=' +waitaof'
# Into a variable first: a pipe would put a cut file in place and go on, where a line fails.
users="user default on #$(digest "$secrets/redis/password") ~* &* +@all"
redis_user worker SHA256_OF_THE_PASSWORD_OF_WORKER
redis_user coordinator SHA256_OF_THE_PASSWORD_OF_COORDINATOR
redis_user backup SHA256_OF_THE_PASSWORD_OF_BACKUP
printf '%s\n' "$users" | put "$secrets/redis/users.acl"
rm -f "$secrets/redis/password.conf"
settle "$secrets/cluster/artifact-token" ''
settle "$secrets/cluster/admin-key" "${ADMIN_KEY:-}"
# Never replaced: without it no entry of the audit log can be verified any more.
settle "$secrets/cluster/audit.keys" ''
# Never replaced: without it nothing that was sealed can be read again.
settle "$secrets/cluster/master.keys" ''
settle "$secrets/grafana/password" "${GRAFANA_ADMIN_PASSWORD:-}"
put "$secrets/cluster/environment" <<EOF
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
