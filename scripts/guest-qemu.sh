#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unpacks a QEMU newer than Debian 12's own from its backports, without installing it, and prints the words that start it,
# one a line. The machine's own sources of packages stay as they are.
#
#   scripts/guest-qemu.sh FOLDER
set -euo pipefail

folder=$1
say() { printf 'guest-qemu: %s\n' "$*" >&2; }
place=$(realpath -m "$folder")/qemu-backports
if [ ! -e "$place/complete" ]; then
    rm -rf "$place"
    mkdir -p "$place"/{sources,lists/partial,debs}
    # The mirror that this machine has for Debian 12, with another suite.
    mirror=$(apt-cache policy | sed -n 's/^ *[0-9]* \(http[^ ]*\) bookworm\/main amd64 Packages$/\1/p' | head -1)
    [ -n "$mirror" ] || { say "no mirror of Debian 12 among apt's sources"; exit 1; }
    echo "deb $mirror bookworm-backports main" >"$place/sources/backports.list"
    echo "deb $mirror bookworm main" >>"$place/sources/backports.list"
    backports=(-o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$place/sources" -o "Dir::State::lists=$place/lists"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    say "reading the list of $mirror bookworm-backports"
    apt-get "${backports[@]}" -qq update >&2
    say "fetching QEMU"
    # What QEMU itself brings is unpacked; the libraries that it shares with Debian 12's QEMU are installed with that one.
    (cd "$place/debs" && apt-get "${backports[@]}" -qq -t bookworm-backports download \
        qemu-system-x86 qemu-system-common qemu-system-data seabios ipxe-qemu >&2)
    for package in "$place"/debs/*.deb; do dpkg-deb -x "$package" "$place"; done
    rm -r "$place"/{debs,lists,sources}
    missing=$(ldd "$place/usr/bin/qemu-system-x86_64" | awk '/not found/ { print $1 }')
    [ -z "$missing" ] || { say "QEMU wants libraries that are not installed:" $missing; exit 1; }
    touch "$place/complete"
fi
printf '%s\n' env "QEMU_MODULE_DIR=$(dirname "$(find "$place/usr/lib" -name 'accel-tcg-*.so' -o -name 'hw-display-*.so' | head -1)")" \
    "$place/usr/bin/qemu-system-x86_64" -L "$place/usr/share/qemu" -L "$place/usr/share/seabios" -L "$place/usr/lib/ipxe/qemu"
