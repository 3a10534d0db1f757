#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Fetches a stock Debian kernel, with the headers to build modules for it, into target/kernel; installs nothing.
#
#   kernel/test/fetch.sh 6.12|6.1
#
# Leaves in target/kernel/SERIES: version (the release), vmlinuz, lib/modules/RELEASE, build (the headers' folder, for
# make -C).
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

# The image and its modules; the headers are the rest.
image=$(scripts/guest-kernel.sh "$meta" "$PWD/target/kernel/images") ||
    { say "no $meta: the sources of apt need bookworm and bookworm-security"; exit 1; }
release=${image##*/linux-image-}
common=${release%-cloud-amd64}-common
kbuild=$(apt-cache depends "linux-headers-$release" | sed -n 's/^ *Depends: \(linux-kbuild-.*\)$/\1/p' | head -1)

rm -rf "$out"
mkdir -p "$out/deb"
say "headers of kernel $release"
(cd "$out/deb" && apt-get -qq download "linux-headers-$release" "linux-headers-$common" "$kbuild")
for deb in "$out"/deb/*.deb; do dpkg-deb -x "$deb" "$out/root"; done
rm -r "$out/deb"

root=$PWD/$out/root
build=$root/usr/src/linux-headers-$release
# The packages name each other by absolute paths; here they live elsewhere.
sed -i "s#/usr/src/linux-headers-#$root/usr/src/linux-headers-#g" "$build/Makefile"
ln -s "$image/boot/vmlinuz-$release" "$out/vmlinuz"
ln -s "$image/lib" "$out/lib"
ln -s "$build" "$out/build"
echo "$release" >"$out/version"
