# Read by image.sh and wheel.sh: what version is made, and whether the tag in git says the same.

# version_in FOLDER: prints the version of a source tree; kotaemon_node/__init__.py is its one place.
version_in() {
    found=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$1/kotaemon_node/__init__.py")
    # Trees of before said it in pyproject.toml.
    [ -n "$found" ] || found=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$1/pyproject.toml")
    [ -n "$found" ] || fail "$1 is no source tree of this program: it says no version."
    echo "$found"
}

# check_tag VERSION COMMIT: fails where a tag v… of that commit names another version.
check_tag() {
    for release in $(git tag --points-at "$2" --list 'v[0-9]*' 2>/dev/null); do
        [ "$release" = "v$1" ] || fail "The tag $release is of version $1; set __version__ in" \
            "kotaemon_node/__init__.py to ${release#v}, commit, and move the tag."
    done
}
