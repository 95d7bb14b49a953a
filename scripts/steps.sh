# Read by the other scripts: one line a step, with its time.

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    printf 'kotaemon: %s\n' "$*" >&2
    exit 1
}

# step TEXT COMMAND…: runs the command and says how long it took; its status is the command's.
step() {
    step_text=$1
    shift
    say "→ $step_text"
    step_began=$(date +%s)
    step_status=0
    "$@" || step_status=$?
    step_seconds=$(($(date +%s) - step_began))
    if [ "$step_status" -eq 0 ]; then
        say "✓ $step_text (${step_seconds} s)"
    else
        say "✗ $step_text (${step_seconds} s)"
    fi
    return "$step_status"
}
