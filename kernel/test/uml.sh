#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds User Mode Linux with the kernel's own checks on (lockdep, PROVE_RCU, atomic sleep, lists) and with virtual time,
# once, into target/kernel/uml: `linux`, and `source` for make -C. Little more than what the tests need is switched on.
set -euo pipefail
cd "$(dirname "$0")/../.."
config=$PWD/kernel/test/uml.config

out=target/kernel/uml
[ -e "$out/linux" ] && cmp -s "$config" "$out/config" && exit 0
say() { printf 'uml: %s\n' "$*" >&2; }

mkdir -p "$out"
if ! compgen -G "$out/linux-source-6.12_*.deb" >/dev/null; then
    say "fetching the source of 6.12"
    (cd "$out" && apt-get -qq download linux-source-6.12)
fi
if [ ! -e "$out/source/Makefile" ]; then
    rm -rf "$out/source" "$out/root"
    dpkg-deb -x "$out"/linux-source-6.12_*.deb "$out/root"
    mkdir "$out/source"
    tar -C "$out/source" --strip-components=1 -xf "$out/root/usr/src/linux-source-6.12.tar.xz"
    rm -r "$out/root"
fi

# A host with AMX saves more state than the 2,696 bytes that 6.12 sets aside, and init dies with "ptrace set fp regs
# failed": room for all of it, and stacks of 64 KiB (KERNEL_STACK_ORDER in uml.config), as the buffer lies on them.
sed -i "s/DEFINE_LONGS(HOST_FP_SIZE, 2696);/DEFINE_LONGS(HOST_FP_SIZE, 12288);/" \
    "$out/source/arch/x86/um/user-offsets.c"
grep -q 12288 "$out/source/arch/x86/um/user-offsets.c" || { say "user-offsets.c has no HOST_FP_SIZE to change"; exit 1; }

say "building"
cd "$out/source"
make -s ARCH=um KCONFIG_ALLCONFIG="$config" allnoconfig >/dev/null
while read -r line; do
    grep -qx "$line" .config || { say "the configuration has no $line"; exit 1; }
done <"$config"
make -s ARCH=um -j2 linux modules
strip -o ../linux linux
cp "$config" ../config
