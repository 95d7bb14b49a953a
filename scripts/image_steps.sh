# Read by image.sh and node_images.sh: which program builds, what the base is, how an image is kept.

# The first that works here of docker, podman and buildah; BUILDER names another.
choose_builder() {
    if [ -n "${BUILDER:-}" ]; then
        echo "$BUILDER"
    elif docker info >/dev/null 2>&1; then
        echo docker
    elif podman info >/dev/null 2>&1; then
        echo podman
    elif command -v buildah >/dev/null; then
        echo buildah
    else
        fail "docker, podman or buildah is needed to build an image; on Debian and Ubuntu run" \
            "\`sudo apt-get install buildah\`."
    fi
}

# build_image TAG FILE OPTION…: builds FILE from the folder $context, else from the checkout.
build_image() {
    image_tag=$1
    image_file=$2
    shift 2
    if [ -n "${CERTIFICATES:-}" ]; then
        set -- --secret "id=certificates,src=$CERTIFICATES" "$@"
    fi
    case $builder in
        docker) DOCKER_BUILDKIT=1 docker build -t "$image_tag" -f "$image_file" "$@" "${context:-.}" ;;
        podman) podman build --format docker -t "$image_tag" -f "$image_file" "$@" "${context:-.}" ;;
        # By chroot: it needs neither user namespaces nor a network of its own.
        buildah) buildah build --isolation chroot --layers --format docker -t "$image_tag" \
            -f "$image_file" "$@" "${context:-.}" ;;
        *) fail "BUILDER is $builder; it must be docker, podman or buildah." ;;
    esac
}

# checkout_of COMMIT FOLDER: what the image of that commit is built from. What makes the image is that
# of this checkout, so that images can be made of commits which had none.
checkout_of() {
    git archive "$1" | tar -xf - -C "$2" || return 1
    [ -e "$2/requirements/image.lock" ] || cp -p requirements/image.lock "$2/requirements/"
    rm -rf "$2/deploy"
    mkdir "$2/deploy"
    cp -pr .dockerignore "$2/"
    cp -pr deploy/Dockerfile deploy/image "$2/deploy/"
    [ ! -d .models ] || cp -pr .models "$2/"
    # Layers are used again where files and their times are the same.
    find "$2" -exec touch -h -d 2000-01-01 {} +
}

# save_image TAG FILE: writes an archive that docker, podman and containerd read.
save_image() {
    rm -f "$2"
    case $builder in
        docker) docker save -o "$2" "$1" ;;
        podman) podman save --format docker-archive -o "$2" "$1" ;;
        buildah) buildah push --quiet "$1" "docker-archive:$2:$1" ;;
    esac
}

# local_base: makes a base from Debian's packages where no registry can be asked; prints its name.
local_base() {
    base_name=localhost/debian:bookworm-slim
    [ "$builder" = buildah ] || fail "--local-base needs buildah (BUILDER=buildah)."
    if ! buildah inspect --type image "$base_name" >/dev/null 2>&1; then
        command -v debootstrap >/dev/null ||
            fail "debootstrap is missing; run \`sudo apt-get install debootstrap\`."
        step "Making $base_name with debootstrap" make_base >&2 || fail "There is no base now."
    fi
    echo "$base_name"
}

make_base() {
    base_root=$(mktemp -d)
    status=0
    make_base_in "$base_root" || status=$?
    rm -rf --one-file-system "$base_root"
    return "$status"
}

make_base_in() {
    debootstrap --variant=minbase bookworm "$1" >"$1.log" 2>&1 || {
        tail -n 5 "$1.log" >&2
        return 1
    }
    # Updates too, from wherever this machine has its own.
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' | grep -E ' bookworm[a-z-]* main$' | sort -u >"$1/etc/apt/sources.list"
    # What Debian's own slim image leaves out, also of packages to come.
    printf 'path-exclude /usr/share/%s/*\n' doc man locale info lintian >"$1/etc/dpkg/dpkg.cfg.d/slim"
    rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*.log "$1.log"
    rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/usr/share/info/*
    container=$(buildah from scratch) &&
        buildah add --quiet "$container" "$1" / >/dev/null &&
        buildah config --cmd /bin/bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            "$container" &&
        buildah commit --quiet --rm --format docker "$container" "$base_name" >/dev/null
}

# The size of an image, unpacked, in megabytes.
image_megabytes() {
    case $builder in
        buildah) bytes=$(buildah inspect --type image --format '{{.FromImageID}}' "$1" >/dev/null &&
            buildah images --json "$1" | sed -n 's/.*"size": "\(.*\)".*/\1/p') && echo "$bytes" ;;
        *) "$builder" image inspect --format '{{.Size}}' "$1" | awk '{ printf "%d MB", $1 / 1e6 }' ;;
    esac
}
