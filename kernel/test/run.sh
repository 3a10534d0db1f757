#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds Weir's kernel modules for a stock Debian kernel, boots it in QEMU and tests them there. Needs no KVM and no root
# beyond what scripts/need.sh installs.
#
#   kernel/test/run.sh 6.12|6.1 short|long
#
# The folder target/kernel holds the kernels, the modules and the logs.
set -euo pipefail
cd "$(dirname "$0")/../.."

series=$1 tier=$2
kernel/test/fetch.sh "$series"
kernel=$PWD/target/kernel/$series
work=$kernel/$tier
rm -rf "$work"
mkdir -p "$work"
say() { printf 'test-kernel: %s\n' "$*"; }

kernel/test/modules.sh "$kernel/build" "$work/modules"

say "initramfs"
root=$work/root
kernel/test/initramfs.sh "$work/modules" "$root" "$tier"
mods=$kernel/lib/modules/$(cat "$kernel/version")
# With what it needs, in the order in which it must be loaded.
for name in veth sch_netem sch_tbf tcp_bbr; do
    modprobe -S "$(cat "$kernel/version")" -d "$kernel" --show-depends "$name" 2>/dev/null | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file")
    name=${name%.ko*}
    case $file in
        *.xz) xz -dc "$file" >"$root/mod/$name.ko" ;;
        *) cp "$file" "$root/mod/$name.ko" ;;
    esac
    echo "$name" >>"$root/mod/before"
done
[ -s "$root/mod/before" ] || { say "no modules of $mods"; exit 1; }
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs.gz"

# Boots with a tier of init's; QEMU ends with 33 where all checks passed. QEMU without KVM, on a busy host, has been seen to
# trip over the kernel's own patching of its code, while it boots or when a netfilter hook comes or goes: its CPU meets the
# breakpoint of a patch that is over (`int3` in __ip_local_out). Nothing in Weir's modules is a breakpoint. A boot that dies so, or
# before init, is told, and tried again.
boot() {
    local status log=$work/$1.log attempt
    for attempt in 1 2 3; do
        status=0
        say "Linux $(cat "$kernel/version"), $1"
        timeout "$2" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -M q35 -smp 2 -m 1024 \
            -kernel "$kernel/vmlinuz" -initrd "$work/initramfs.gz" \
            -append "console=ttyS0 panic=-1 quiet tier=$1" -no-reboot -nodefaults -display none -serial stdio \
            -device isa-debug-exit,iobase=0xf4,iosize=0x04 </dev/null >"$log" 2>&1 || status=$?
        if grep -aq 'guest: ' "$log" && ! grep -aq 'int3: 0000 \[' "$log"; then break; fi
        say "attempt $attempt: the guest died before its init or in code that was being patched, with $status"
        grep -a 'RIP:\|panic' "$log" | head -3
    done
    tr -d '\r' <"$log" | grep -a 'guest: ' || true
    if [ "$status" != 33 ]; then
        say "FAILED with $status (33 is a pass, 124 a timeout); the log is $log"
        tail -30 "$log"
        exit 1
    fi
}

if [ "$tier" = long ]; then limit=3000; else limit=600; fi
boot golden 300
boot "$tier" "$limit"
say "passed: Linux $(cat "$kernel/version"), $tier"
