#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# The guest's files: busybox, ip, tc, ethtool and iperf3 with their libraries, the modules, the data to compare with.
#
#   kernel/test/initramfs.sh MODULES ROOT TIER
set -euo pipefail
cd "$(dirname "$0")/../.."
modules=$1 root=$2 tier=$3
cases=target/debug/examples/cases

mkdir -p "$root"/{bin,real,mod,data/shapes,sys,proc,dev,tmp}
cp /bin/busybox "$root/bin/"
# What a program or a library is linked with.
libraries() {
    ldd "$1" | grep -o '/[^ )]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}
copy() {
    cp "$(command -v "$1")" "$2"
    libraries "$(command -v "$1")"
}
# Busybox has an ip and a tc of its own, which know no namespaces.
copy ip "$root/real/"
copy tc "$root/real/"
copy iperf3 "$root/bin/"
copy ethtool "$root/bin/"
gcc -O2 -static -Wall -Wextra -Werror -Ikernel/module kernel/test/guest/weir-guest.c -o "$root/bin/weir-guest"
for program in weir-capture weir-starve; do
    gcc -O2 -static -Wall -Wextra -Werror "kernel/test/guest/$program.c" -o "$root/bin/$program"
done
cp "$modules"/*.ko "$root/mod/"
install -m 755 kernel/test/guest/init "$root/init"
mkdir "$root/tier"
cp kernel/test/guest/*.sh "$root/tier/"

cp features/golden/aurora-trace.txt "$root/data/trace.txt"
cp features/golden/decisions-trace.txt "$root/data/decisions.txt"
$cases select "$root/data/select"
cp "$modules/8bit.wsnap" "$root/data/aurora.wsnap"
cp "$modules/12bit.wsnap" "$root/data/other.wsnap"
[ "$tier" = long ] && rows=10000 queries=20000 || rows=100 queries=2000
$cases shapes "$root/data/shapes"
for file in "$root"/data/shapes/*.wsnap; do
    echo "$(basename "$file") 5 $rows $($cases hash "$file" 5 $rows)"
done >"$root/data/shapes.txt"
echo "9 $queries $($cases hash "$root/data/aurora.wsnap" 9 $queries) $($cases hash "$root/data/other.wsnap" 9 $queries)" \
    >"$root/data/query.txt"

# The long form has the trainer in the guest: weir, ONNX Runtime, a configuration that publishes easily.
if [ "$tier" = long ]; then
    ort=${WEIR_ORT_LIB:-third_party/ort/libonnxruntime.so}
    copy target/debug/weir "$root/bin/"
    strip "$root/bin/weir"
    cp -L "$ort" "$root/lib/libonnxruntime.so"
    libraries "$ort"
    mkdir -p "$root/data/conf/models"
    cp conf/adaptive.toml "$root/data/conf/"
    cp conf/models/aurora.onnx "$root/data/conf/models/"
    echo '--set trainer.store=/tmp/store --set trainer.onnxruntime=/lib/libonnxruntime.so --set pacing.explore_share=1.0' \
        '--set pacing.control_share=0.0 --set model[0].adapt.rows_min=64 --set model[0].adapt.gate.fidelity_threshold=0.0' \
        '--set model[0].adapt.gate.stability_tolerance=1000.0 --set model[0].adapt.gate.reward_loss_max=1.0' \
        '--set model[0].adapt.gate.episode_reward_loss_max=1.0 --set model[0].adapt.gate.episode_loss_max=1.0' \
        '--set model[0].adapt.gate.forgotten_share_max=1.0' \
        >"$root/data/overrides"
    target/debug/weir snapshot inspect "$root/data/aurora.wsnap" | sed -n 's/^checksum *\([0-9a-f]*\).*/\1/p' >"$root/data/checksum"
fi
