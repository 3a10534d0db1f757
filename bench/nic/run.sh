#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Weir on NICs that are really bound: `make test-nic`. Boots Debian's kernel in QEMU with an emulated IOMMU and a card of
# two ports, runs there what README.md's chapter "On a DPDK-bound NIC" says, pushes TCP through, and compares Weir's books
# with captures that QEMU takes of every frame.
#
#   namespace a: k0 -- hub 0 -- [card, port 0] weir [card, port 1] -- hub 1 -- k1: namespace b
#
# No KVM: a minute and a half of emulation on two cores. Everything is in target/guest and out/nic.
#
#   bench/nic/run.sh [e1000e | igb]     igb: two queues, two workers; needs QEMU 8, taken from Debian's backports
set -euo pipefail
cd "$(dirname "$0")/../.."

card=${1:-e1000e}
out=$PWD/out/nic/$card
cache=$PWD/target/guest
root=$cache/nic-$card
# An idle machine takes 60 s. One whose two cores are busy with other things takes some times as long.
limit=300
# The guest's last act is to write 16 plus its status to port 0xf4: QEMU ends with twice that plus one.
passed=33

say() { printf 'nic: %s\n' "$*"; }
fail() { printf 'nic: FAILED: %s\n' "$*" >&2; exit 1; }

scripts/need.sh qemu-system-x86 busybox-static cpio kmod iproute2 iperf3 libdpdk-dev tshark
weir=${WEIR_BIN:-target/release/weir}
[ -x "$weir" ] || fail "no weir at $weir: \`make build\` makes it"
kernel=$(scripts/guest-kernel.sh linux-image-amd64 "$cache")
release=$(basename "$kernel"/lib/modules/*)

qemu=(qemu-system-x86_64)
cpus=2 workers=(1) queues=1 more=
if [ "$card" = igb ]; then
    cpus=3 workers=(1 2) queues=2
    # QEMU's igb names no function after the first unless it is told to.
    more=,x-pcie-ari-nextfn-1=on
    mapfile -t qemu < <(scripts/guest-qemu.sh "$cache")
    [ "${#qemu[@]}" -gt 0 ] || fail "no QEMU with igb"
elif [ "$card" != e1000e ]; then
    fail "'$card' is no card of this test: e1000e or igb"
fi

# --- the guest's file system -----------------------------------------------------------------------------------------
rm -rf "$root" "$out"
mkdir -p "$out" "$root"/{bin,dev,etc,proc,sys,run,tmp,usr/lib,usr/lib64,weir/scripts}
ln -s bin "$root/sbin"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
ln -s run "$root/var"
mkdir -p "$root/lib/modules/$release"

# library FILE: itself, and the name that it goes by. A library that is there twice is loaded twice: DPDK's end the program.
library() {
    local file
    file=$(readlink -f "$1")
    [ -e "$root$file" ] || install -D "$file" "$root$file"
    [ -e "$root$1" ] || { mkdir -p "$root${1%/*}" && ln -s "$file" "$root$1"; }
}
libraries_of() {
    ldd "$1" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | sort -u | while read -r file; do library "$file"; done
}
install -m 755 /bin/busybox "$root/bin/"
# modprobe is kmod's: busybox's knows nothing of what a module wants loaded after it, and vfio wants vfio_iommu_type1. The
# shell is dash: busybox's prefers its own applets to any program, and its `ip` knows no namespaces.
install -m 755 "$(readlink -f /bin/dash)" "$root/bin/sh"
libraries_of /bin/dash
for program in "$(command -v ip)" "$(command -v iperf3)" "$(command -v modprobe)" "$weir"; do
    install -m 755 "$program" "$root/bin/${program##*/}"
    libraries_of "$program"
done
strip --strip-debug "$root/bin/weir"
# DPDK's drivers: it takes those that end in its ABI's number from one folder.
plugins=$(dirname "$(readlink -f "$(pkg-config --variable=libdir libdpdk)/librte_bus_pci.so")")
for plugin in bus_pci bus_vdev mempool_ring net_e1000; do
    file=$(readlink -f "$plugins/librte_$plugin.so")
    library "$file"
    libraries_of "$file"
done

for module in vfio-pci vfio_iommu_type1 virtio_pci virtio_net "$card"; do
    modprobe -S "$release" -d "$kernel" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
done | sort -u | while read -r file; do
    install -D -m 644 "$file" "$root/lib/modules/$release/${file#*"/$release/"}"
done
cp "$kernel/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
depmod -b "$root" "$release"

cp -r conf "$root/weir/conf"
cp scripts/hugepages.sh "$root/weir/scripts/"
cp bench/nic/guest.sh "$root/init"
# The chapter's commands, one file for each block of shell, in order.
awk -v folder="$root/weir" '
    /^## / { chapter = $0 == "## On a DPDK-bound NIC" }
    chapter && /^```/ { inside = !inside; if (inside) { number += $0 == "```sh" ; shell = $0 == "```sh" }; next }
    chapter && inside && shell { print > (folder "/step" number ".sh") }' README.md
[ -s "$root/weir/step4.sh" ] || fail "README.md's chapter \"On a DPDK-bound NIC\" no longer has four blocks of shell"
boot=$(sed -n 's/^GRUB_CMDLINE_LINUX="\(.*\)"$/\1/p' README.md)
[ -n "$boot" ] || fail "README.md no longer says how to boot: no line GRUB_CMDLINE_LINUX=\"...\""
if [ "$cpus" = 3 ]; then boot=${boot//=1/=1,2}; fi
echo "workers='${workers[*]}'; card=$card" >"$root/weir/terms"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$cache/nic-$card.gz"

# --- the machine -----------------------------------------------------------------------------------------------------
# Buses are numbered in the order of the root ports: the card is 0000:03:00, as in conf/two-port.toml.
net=()
for port in 0 1; do
    net+=(-netdev "hubport,id=k$port,hubid=$port" -netdev "hubport,id=c$port,hubid=$port")
    net+=(-device "virtio-net-pci,netdev=k$port,mac=52:54:00:00:00:0$port,bus=pcie.0,addr=$((16 + port))")
    net+=(-device "$card,netdev=c$port,mac=52:54:00:00:01:0$port,bus=slot3,addr=0.$port,multifunction=on$more")
    # Seen from the hub: what it sends to the card, and what it receives from it.
    net+=(-object "filter-dump,id=to$port,netdev=c$port,queue=tx,file=$out/to$port.pcap")
    net+=(-object "filter-dump,id=from$port,netdev=c$port,queue=rx,file=$out/from$port.pcap")
done
slots=()
for slot in 1 2 3; do slots+=(-device "pcie-root-port,id=slot$slot,chassis=$slot,bus=pcie.0,addr=$((slot + 1))"); done

say "booting $release with an $card of two ports; README.md's commands and what they say follow"
status=0
# The counter is invariant, as the host's is; QEMU passes that on under KVM only, unless forced.
timeout --foreground "$limit" "${qemu[@]}" -accel tcg,thread=multi -cpu max,+invtsc,x-force-features=on -smp "$cpus" \
    -M q35,kernel-irqchip=split -m 1280 -device intel-iommu,intremap=on,caching-mode=on \
    "${slots[@]}" "${net[@]}" -nodefaults -display none -no-reboot \
    -serial stdio -serial "file:$out/results" -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
    -kernel "$kernel/boot/vmlinuz-$release" -initrd "$cache/nic-$card.gz" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable $boot" </dev/null 2>"$out/qemu.log" |
    tee "$out/console" || status=${PIPESTATUS[0]}
if [ "$status" != "$passed" ]; then
    cat "$out/qemu.log" >&2
    [ "$status" != 124 ] || fail "the guest was not done after $limit s; its console is $out/console"
    fail "the guest ended with $status, $passed is success; its console is $out/console"
fi
grep -qE 'BUG:|WARNING:|Oops|Call Trace|DMAR:.*fault' "$out/console" && fail "the guest's kernel complains: $out/console"
/usr/bin/python3 -B bench/nic/check.py "$out" "$queues"
say "passed"
