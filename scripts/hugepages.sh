#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Sees to it that at least N 2 MiB hugepages are free and that hugetlbfs is mounted. Safe to repeat: it only adds
# what is missing, and says what it did. Run as root.
#
#   scripts/hugepages.sh [N]      N defaults to 256 pages, 512 MiB
set -eu

pool=/sys/kernel/mm/hugepages/hugepages-2048kB
mount_point=/dev/hugepages
wanted=${1:-256}

fail() {
    echo "hugepages: $*" >&2
    exit 1
}

case $wanted in
    '' | *[!0-9]*) fail "the number of pages must be a whole number, not '$wanted'" ;;
esac
[ "$#" -le 1 ] || fail "usage: $0 [pages]"
[ -d "$pool" ] || fail "this kernel has no 2 MiB hugepages ($pool is missing): run Weir with 'hugepages = false'"

free=$(cat "$pool/free_hugepages")
if [ "$free" -ge "$wanted" ]; then
    echo "hugepages: $free of 2 MiB are free, $wanted wanted: nothing to reserve"
else
    total=$(cat "$pool/nr_hugepages")
    target=$((total + wanted - free))
    [ -w "$pool/nr_hugepages" ] || fail "cannot write $pool/nr_hugepages: run as root, on the host and not in a container"
    available=$(awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo)
    # Asked for too much, the kernel would take what there is and starve everything else meanwhile.
    missing=$(((wanted - free) * 2))
    [ "$missing" -lt "$available" ] ||
        fail "$wanted free pages need $missing MiB more, $available MiB are available: ask for fewer"
    # The kernel reserves as many as it finds in one piece and reports no error for the rest; memory that caches
    # have scattered becomes whole again when they are dropped and the rest is compacted, so ask a second time.
    echo "$target" >"$pool/nr_hugepages" || fail "the kernel refused to reserve $target pages"
    free=$(cat "$pool/free_hugepages")
    if [ "$free" -lt "$wanted" ]; then
        sync
        echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
        echo 1 >/proc/sys/vm/compact_memory 2>/dev/null || true
        echo "$target" >"$pool/nr_hugepages" || true
        free=$(cat "$pool/free_hugepages")
    fi
    total_now=$(cat "$pool/nr_hugepages")
    if [ "$free" -lt "$wanted" ]; then
        echo "$total" >"$pool/nr_hugepages" || true
        fail "the kernel found room for $free free pages of 2 MiB, $wanted are wanted; $available MiB are available but" \
            "not in pieces of that size: free memory, ask for fewer, or reserve at boot (hugepages=$target). Nothing was kept"
    fi
    echo "hugepages: reserved $((total_now - total)) more of 2 MiB: $free free of $total_now"
fi

if awk '$3 == "hugetlbfs" { found = 1 } END { exit !found }' /proc/mounts; then
    echo "hugepages: hugetlbfs is mounted"
else
    mkdir -p "$mount_point" && mount -t hugetlbfs nodev "$mount_point" ||
        fail "cannot mount hugetlbfs on $mount_point: run as root (Weir itself needs no mount)"
    echo "hugepages: mounted hugetlbfs on $mount_point"
fi
