#!/usr/bin/env bash
# Make the Docker image mm-milvus-test/milvus:2.3.5 without an image registry:
# a minimal Debian from debootstrap plus the server of the `milvus` package of PyPI,
# laid out like the official image (/milvus/bin, /milvus/lib, /milvus/configs).
#
#   sudo scripts/build-milvus-image.sh
#
# Needs root, a reachable Docker engine, debootstrap, xz and a Python with pip (named by
# PYTHON, else python3). The root file system is kept as a tarball in
# ${XDG_CACHE_HOME:-$HOME/.cache}/mm-milvus/; remove it to build it again.
set -euo pipefail

readonly VERSION=2.3.5
readonly IMAGE="mm-milvus-test/milvus:$VERSION"
readonly PYTHON="${PYTHON:-python3}"
readonly CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/mm-milvus"
readonly SUITE=bookworm
readonly TARBALL="$CACHE/milvus-$VERSION-$SUITE.tar.gz"

say() { echo "build-milvus-image: $*"; }
die() { say "$*" >&2; exit 1; }

# The archive that apt uses on this machine, the only one known to be reachable.
mirror() {
    # shellcheck disable=SC2016  # apt substitutes the names, not the shell
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' | awk -v suite="$SUITE" '$1 == suite && $2 == "main" && !n++ {print $3}'
}

make_debian() {
    local root=$1 url
    url=$(mirror)
    [[ -n $url ]] || die "apt has no archive of $SUITE: add one to its sources and run apt-get update"
    say "debootstrap of $SUITE (log: shown if it fails)"
    debootstrap --variant=minbase --include=ca-certificates,curl "$SUITE" "$root" "$url" \
        >"$work/debootstrap.log" 2>&1 || { tail -n 20 "$work/debootstrap.log" >&2; return 1; }
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* \
        "$root"/usr/share/{doc,info,locale,man}/*
}

add_milvus() {
    local root=$1 data="$work/wheel/milvus/data" file name folder
    say "server of milvus==$VERSION from PyPI"
    "$PYTHON" -m pip download --quiet --no-deps --only-binary :all: --dest "$work" "milvus==$VERSION"
    "$PYTHON" -m zipfile -e "$work"/milvus-*.whl "$work/wheel"

    mkdir -p "$root"/milvus/{bin,lib,configs} "$root"/var/lib/milvus
    for file in "$data"/bin/*.lzma; do
        name=$(basename "$file" .lzma)
        folder=lib
        [[ $name == milvus ]] && folder=bin
        # The files are named .lzma, but their format is xz; xz detects it.
        xz --decompress --stdout --format=auto "$file" >"$root/milvus/$folder/$name"
        chmod 755 "$root/milvus/$folder/$name"
    done
    # The wheel's resolver belongs to another C library; the image's own must be used.
    rm -f "$root/milvus/lib/libresolv.so.2"
    cp "$data/glog.conf" "$root/milvus/configs/glog.conf"
    configure <"$data/config.yaml.template" >"$root/milvus/configs/milvus.yaml"
}

# Fill in the template: the folders of the image, and the default of every other
# `{{ name(type): default }}`.
configure() {
    sed -E \
        -e 's#\{\{ *etcd_log_path:[^}]*\}\}#stdout#' \
        -e 's#\{\{ *etcd_data_dir *\}\}#/var/lib/milvus/etcd#' \
        -e 's#\{\{ *local_storage_dir *\}\}#/var/lib/milvus/data#' \
        -e 's#\{\{ *rocksmq_data_dir *\}\}#/var/lib/milvus/rocksmq#' \
        -e 's#\{\{ *system_log_path *\}\}#""#' \
        -e 's#\{\{ *[a-z_]+(\([a-z]+\))?: *([^} ]*) *\}\}#\2#'
}

make_tarball() {
    local tool
    [[ $(id -u) == 0 ]] || die "debootstrap needs root: run this with sudo"
    for tool in debootstrap xz apt-get; do
        command -v "$tool" >/dev/null || die "$tool is missing: install it"
    done
    mkdir -p "$CACHE"
    work=$(mktemp -d)
    trap 'rm -rf "$work" "$TARBALL.part"' EXIT
    make_debian "$work/root"
    add_milvus "$work/root"
    say "packing $TARBALL"
    tar -C "$work/root" -c . | gzip -1 >"$TARBALL.part"
    mv "$TARBALL.part" "$TARBALL"
}

import_image() {
    say "importing $IMAGE"
    docker import \
        --change 'ENV PATH=/milvus/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENV LD_LIBRARY_PATH=/milvus/lib' \
        --change 'WORKDIR /milvus' \
        --change 'EXPOSE 19530 9091' \
        --change 'CMD ["milvus", "run", "standalone"]' \
        "$TARBALL" "$IMAGE" >/dev/null
}

command -v docker >/dev/null || die "docker is missing: install it"
docker version >/dev/null 2>&1 || die "no Docker engine answers: start one, or set DOCKER_HOST"
if docker image inspect "$IMAGE" >/dev/null 2>&1; then
    say "$IMAGE is already here"
    exit
fi
[[ -f $TARBALL ]] || make_tarball
import_image
say "$IMAGE is ready"
