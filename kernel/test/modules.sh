#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Writes the folder of kernel modules by `weir snapshot kernel`, adds the test's own, and builds them: W=1, sparse, no
# warning, no SIMD.
#
#   kernel/test/modules.sh BUILD FOLDER [make's arguments]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=$1 out=$2
shift 2

weir=target/debug/weir
mkdir -p "$out"
for precision in 8bit 12bit; do
    $weir snapshot build conf/models/aurora.onnx --precision $precision -o "$out/$precision.wsnap" >/dev/null
done
$weir snapshot kernel "$out/8bit.wsnap" -o "$out" >/dev/null
cp kernel/test/module/* "$out/"
# The same snapshot with one golden result changed.
sed '/golden_results\[/{n;s/^\t/\t1 + /}' "$out/weir_snap_aurora.c" >"$out/weir_snap_bad.c"
if cmp -s "$out/weir_snap_aurora.c" "$out/weir_snap_bad.c"; then echo "modules: no golden result to change" >&2; exit 1; fi
echo 'obj-m += weir_test.o' >>"$out/Kbuild"

# No BTF: it needs the kernel's vmlinux and pahole, and nothing here reads it.
if ! make -C "$build" M="$(realpath "$out")" W=1 C=2 CONFIG_DEBUG_INFO_BTF_MODULES= "$@" modules >"$out/build.log" 2>&1; then
    cat "$out/build.log" >&2
    exit 1
fi
if grep -E 'warning|error' "$out/build.log" >&2; then
    echo "modules: warnings of W=1 or sparse" >&2
    exit 1
fi
for module in "$out"/*.ko; do
    if objdump -d --no-show-raw-insn "$module" | grep -E '%([xyz]mm|st)[0-9(]' >&2; then
        echo "modules: $module uses SIMD or floating point" >&2
        exit 1
    fi
done
