#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Weir's kernel modules in User Mode Linux, with lockdep, PROVE_RCU and virtual time. Builds it the first time.
set -euo pipefail
cd "$(dirname "$0")/../.."

kernel/test/uml.sh
uml=$PWD/target/kernel/uml
work=$uml/run
rm -rf "$work"
mkdir -p "$work"
say() { printf 'test-kernel: %s\n' "$*"; }

# Sparse has judged the sources already; the headers of this architecture are not clean under it.
kernel/test/modules.sh "$uml/source" "$work/modules" ARCH=um C=0
kernel/test/initramfs.sh "$work/modules" "$work/root" uml
(cd "$work/root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs.gz"

# Its memory is a file, best in memory. It ends with 0 on any halt: what init says last decides.
boot() {
    say "User Mode Linux, $1"
    TMPDIR=/dev/shm timeout 2400 "$uml/linux" mem=512M "initrd=$work/initramfs.gz" con=null con0=fd:0,fd:1 quiet panic=-1 \
        time-travel=inf-cpu "tier=$1" </dev/null >"$work/$1.log" 2>&1 || true
    tr -d '\r' <"$work/$1.log" | grep -a 'guest: ' || true
}

# That a complaint of the kernel is found is shown first: by one.
boot splat
if ! grep -aq 'guest: FAILED: the kernel complains' "$work/splat.log" || grep -aq 'guest: PASSED' "$work/splat.log"; then
    say "FAILED: a use of RCU without its lock went unseen; the log is $work/splat.log"
    tail -30 "$work/splat.log"
    exit 1
fi
boot uml
if ! grep -aq 'guest: PASSED' "$work/uml.log"; then
    say "FAILED; the log is $work/uml.log"
    tail -30 "$work/uml.log"
    exit 1
fi
say "passed: User Mode Linux"
