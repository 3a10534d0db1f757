#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Makes stand-ins for the images that docker/Dockerfile and docker/compose.yml start from, for a machine that reaches a
# Debian mirror and no image registry. Only the test uses them; a real build pulls the real ones.
#
#   debian:bookworm-slim       debootstrap
#   weir-test/rust             the same with this machine's Rust toolchain and its downloaded crates
#   weir-test/prometheus       the same with this machine's Prometheus
#
# DOCKER_HOST names the daemon, $1 a folder to work in. What is there already stays.
set -euo pipefail
work=$1

have() { docker image inspect "$1" >/dev/null 2>&1; }
say() { printf 'bases: %s\n' "$*"; }
build() { docker build -q -t "$1" "$2" >"$work/build.log" 2>&1 || { tail -20 "$work/build.log" >&2; exit 1; }; }
export DOCKER_BUILDKIT=0    # BuildKit would look for the bases in a registry first

mkdir -p "$work"
if ! have debian:bookworm-slim; then
    say "debian:bookworm-slim by debootstrap (half a minute)"
    rm -rf "$work/debian"
    debootstrap --variant=minbase bookworm "$work/debian" >"$work/debootstrap.log" ||
        { tail -3 "$work/debootstrap.log" >&2; exit 1; }
    # The official image leaves these out, too.
    rm -rf "$work"/debian/var/cache/apt/*.bin "$work"/debian/var/cache/apt/archives/*.deb \
        "$work"/debian/var/lib/apt/lists/* "$work"/debian/usr/share/{doc,info,locale,man}/*
    tar -C "$work/debian" -c . | docker import - debian:bookworm-slim >/dev/null
    rm -rf "$work/debian"
fi

# Made anew each time: a crate may have joined, and the layers of what has not changed are cached.
say "weir-test/rust: Rust $(rustc --version | cut -d' ' -f2) of this machine, crates as Cargo.lock has them"
rm -rf "$work/rust"
mkdir -p "$work/rust/usr/local/cargo/registry"
sysroot=$(rustc --print sysroot)
tar -C "$sysroot" -c bin/cargo bin/rustc lib | tar -C "$work/rust/usr/local" -x
cargo fetch --locked --quiet
registry=${CARGO_HOME:-$HOME/.cargo}/registry
tar -C "$registry" -c index cache | tar -C "$work/rust/usr/local/cargo/registry" -x
cat >"$work/rust/Dockerfile" <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY usr/local /usr/local
ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true
DOCKERFILE
build weir-test/rust "$work/rust"
rm -rf "$work/rust"

say "weir-test/prometheus: $(prometheus --version 2>&1 | head -1 | cut -d' ' -f1-3) of this machine"
rm -rf "$work/prometheus"
mkdir -p "$work/prometheus/bin"
cp "$(command -v prometheus)" "$work/prometheus/bin/"
# As in the official image: a user that is not root, the configuration's place, a folder for data.
cat >"$work/prometheus/Dockerfile" <<'DOCKERFILE'
FROM debian:bookworm-slim
COPY bin/prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534:65534
WORKDIR /prometheus
ENTRYPOINT ["/bin/prometheus"]
DOCKERFILE
build weir-test/prometheus "$work/prometheus"
rm -rf "$work/prometheus"
