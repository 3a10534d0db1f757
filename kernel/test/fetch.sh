#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fetches a stock Debian kernel, with the headers to build modules for it, into target/kernel/SERIES; installs nothing.
#
#   kernel/test/fetch.sh 6.12|6.1
#
# Leaves there: version (the release), vmlinuz, lib/modules/RELEASE, build (the headers' folder, for make -C).
# What is already there stays: the folder is a cache, removed by hand (rm -r target/kernel) for a newer kernel.
set -euo pipefail
cd "$(dirname "$0")/../.."

series=$1
case $series in
    6.12) meta=linux-image-6.12-cloud-amd64 ;;
    6.1) meta=linux-image-cloud-amd64 ;;
    *) echo "fetch: expected 6.12 or 6.1, found $series" >&2; exit 2 ;;
esac
out=target/kernel/$series
[ -e "$out/version" ] && exit 0

say() { printf 'fetch: %s\n' "$*" >&2; }
newest() { apt-cache depends "$meta" 2>/dev/null | sed -n 's/^ *Depends: linux-image-\(.*\)$/\1/p' | head -1; }

release=$(newest)
if [ -z "$release" ]; then
    say "no $meta known to apt: apt-get update"
    apt-get -o DPkg::Lock::Timeout=300 -qq update
    release=$(newest)
fi
[ -n "$release" ] || { say "no $meta in the sources of apt: add bookworm and bookworm-security"; exit 1; }
common=${release%-cloud-amd64}-common
kbuild=$(apt-cache depends "linux-headers-$release" | sed -n 's/^ *Depends: \(linux-kbuild-.*\)$/\1/p' | head -1)

mkdir -p "$out"
rm -rf "$out.part"
mkdir -p "$out.part/deb" "$out.part/root"
say "kernel $release"
(cd "$out.part/deb" && apt-get -qq download "linux-image-$release" "linux-headers-$release" "linux-headers-$common" "$kbuild")
for deb in "$out.part"/deb/*.deb; do dpkg-deb -x "$deb" "$out.part/root"; done
rm -r "$out.part/deb" "$out"
mv "$out.part" "$out"

root=$PWD/$out/root
build=$root/usr/src/linux-headers-$release
# The packages name each other by absolute paths; here they live elsewhere.
sed -i "s#/usr/src/linux-headers-#$root/usr/src/linux-headers-#g" "$build/Makefile"
mkdir -p "$out/lib"
mv "$root/boot/vmlinuz-$release" "$out/vmlinuz"
mv "$root/lib/modules" "$out/lib/modules"
ln -sfn "$build" "$out/build"
depmod -b "$out" "$release"
echo "$release" >"$out/version"
