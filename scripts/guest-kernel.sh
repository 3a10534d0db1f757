#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unpacks a Debian kernel for a guest, without installing it, and prints the folder: boot/vmlinuz-* and lib/modules/* in
# it. A kernel that was unpacked before is not fetched again.
#
#   scripts/guest-kernel.sh PACKAGE FOLDER      PACKAGE: linux-image-amd64, or any package that depends on one image
set -euo pipefail

package=$1 folder=$2
say() { printf 'guest-kernel: %s\n' "$*" >&2; }

# The image behind a package of packages. Reading apt's lists needs no root; fetching them does.
image() { apt-cache depends "$package" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9]/ { print $2; exit }'; }
name=$(image)
if [ -z "$name" ]; then
    apt-cache show "$package" >/dev/null 2>&1 || apt-get -o DPkg::Lock::Timeout=300 -qq update
    name=$(image)
fi
name=${name:-$package}
place=$folder/$name
if [ ! -e "$place/complete" ]; then
    rm -rf "$place"
    mkdir -p "$place"
    say "fetching $name"
    fetch() { (cd "$place" && apt-get -qq download "$name" 2>/dev/null); }
    # Debian drops a kernel from its archive when the next one is out, and lists grow old.
    if ! fetch; then
        apt-get -o DPkg::Lock::Timeout=300 -qq update
        newer=$(image)
        [ "${newer:-$name}" = "$name" ] || exec "$0" "$@"
        fetch || { say "apt has no $name: is its suite in /etc/apt/sources.list?"; exit 1; }
    fi
    dpkg-deb -x "$place"/*.deb "$place"
    rm "$place"/*.deb
    # What modprobe asks; the package would have it made when it is installed.
    depmod -b "$place" "$(basename "$place"/lib/modules/*)"
    touch "$place/complete"
fi
echo "$place"
