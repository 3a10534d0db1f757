#!/usr/bin/env bash
# Builds what the path bench needs beside testpmd: the traffic source (source/weirgen.c, a DPDK driver) and the example
# l3fwd, both against the installed version of DPDK. l3fwd and the headers for drivers come from the distribution's
# source package of that version; nothing of it is committed.
#
#   bench/path/peers.sh FOLDER      leaves FOLDER/l3fwd and FOLDER/libweirgen.so; builds only what is missing or old
set -euo pipefail

say() { printf 'peers: %s\n' "$*"; }
fail() { printf 'peers: %s\n' "$*" >&2; exit 1; }

[ "$#" = 1 ] || fail "usage: $0 FOLDER"
here=$(realpath "$(dirname "$0")")
mkdir -p "$1"
folder=$(realpath "$1")
source="$folder/source"
version=$(dpkg-query -W -f='${Version}' libdpdk-dev) || fail "libdpdk-dev is not installed: run 'make setup'"

# The machine's own archives, as source archives, in lists of our own: the machine's configuration stays as it is.
fetch() {
    local apt="$folder/apt" list
    rm -rf "$apt" "$source"
    mkdir -p "$apt/parts" "$apt/lists/partial" "$source"
    for list in /etc/apt/sources.list.d/*.sources; do
        [ -e "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" >"$apt/parts/$(basename "$list")"
    done
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed -n 's/^deb /deb-src /p' >"$apt/sources.list" || true
    local options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o "Dir::Etc::SourceParts=$apt/parts"
        -o "Dir::State::Lists=$apt/lists" -o APT::Sandbox::User=root -qq)
    say "fetching the source of dpdk $version"
    apt-get "${options[@]}" update || say "some archives did not answer; going on with the others"
    (cd "$apt" && apt-get "${options[@]}" --download-only source "dpdk=$version" >/dev/null) ||
        fail "no archive has the source of dpdk $version: install a version of which they have it (apt-cache showsrc dpdk)"
    tar -xf "$apt"/dpdk_*.orig.tar.* -C "$source" --strip-components=1 --wildcards \
        '*/examples' '*/lib/ethdev' '*/lib/eal/include' '*/drivers/bus/vdev'
    rm -rf "$apt"
}

build_l3fwd() {
    # Our ports have no receive checksum offload, which this version insists on. l3fwd never looks at its result.
    local work="$folder/build/l3fwd"
    rm -rf "$folder/build" && cp -r "$source/examples" "$folder/build"
    local main="$work/main.c" offload='\.offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,'
    [ "$(grep -c "$offload" "$main")" = 1 ] ||
        fail "$main does not ask for RTE_ETH_RX_OFFLOAD_CHECKSUM in the place where 22.11 does: adapt this script to it"
    sed -i "/$offload/d" "$main"
    # Two exact-match rules per flow: room for a million flows in IPv4's table, and little memory for IPv6's.
    sed -i '/ipv6_l3fwd_hash_params = {/,/};/s/\.entries = .*/.entries = 1024,/' "$work/l3fwd_em.c"
    sed -i 's/^#define L3FWD_HASH_ENTRIES\(.*\)(1024\*1024\*.)/#define L3FWD_HASH_ENTRIES\1(1024*1024*4)/' "$work/l3fwd.h"
    say "building l3fwd"
    # Its makefile takes the distribution's baseline from pkg-config; built for this processor it is faster.
    sed -i 's/^CFLAGS += -DALLOW_EXPERIMENTAL_API/& -march=native/' "$work/Makefile"
    make -C "$work" shared >"$folder/l3fwd.log" 2>&1 ||
        fail "the build of l3fwd failed: see $folder/l3fwd.log"
    cp "$work/build/l3fwd-shared" "$folder/l3fwd"
}

build_source() {
    say "building the traffic source"
    # shellcheck disable=SC2046 # flags are words
    cc -O3 -march=native -fPIC -shared -Wall -Wextra -Werror -DALLOW_INTERNAL_API -DALLOW_EXPERIMENTAL_API \
        $(pkg-config --cflags libdpdk | sed 's/-march=[^ ]*//') \
        -isystem "$source/lib/ethdev" -isystem "$source/lib/eal/include" -isystem "$source/drivers/bus/vdev" \
        "$here/source/weirgen.c" -o "$folder/libweirgen.so" -lrte_ethdev -lrte_bus_vdev -lrte_mempool -lrte_mbuf -lrte_kvargs -lrte_eal
}

if [ "$(cat "$folder/version" 2>/dev/null)" != "$version" ]; then
    rm -f "$folder/version" "$folder/l3fwd" "$folder/libweirgen.so"
    fetch
    printf '%s' "$version" >"$folder/version"
fi
[ -x "$folder/l3fwd" ] || build_l3fwd
[ "$folder/libweirgen.so" -nt "$here/source/weirgen.c" ] || build_source
say "l3fwd and the traffic source are ready in $folder, for DPDK $version"
