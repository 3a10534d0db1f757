#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The only process of bench/nic/run.sh's guest: an operator who follows README.md, and the traffic of two hosts. What it
# says goes to the console, what is checked outside to the second serial port.
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin

mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t tmpfs none /run
mount -t tmpfs none /tmp
mkdir -p /run/run /run/netns
ln -s /proc/self/fd /dev/fd
stty -F /dev/ttyS1 raw
# shellcheck disable=SC1091  # written by run.sh
. /weir/terms
cd /weir || exit 1
export WEIR_LOG=info

# finish STATUS: to QEMU, see run.sh.
finish() {
    sync
    # The serial ports empty first.
    sleep 1
    # shellcheck disable=SC2059  # the format is the byte
    printf "\\$(printf %o $((16 + $1)))" | dd of=/dev/port bs=1 seek=$((0xf4)) conv=notrunc 2>/dev/null
    poweroff -f
}
fail() {
    echo "FAILED: $*"
    dmesg | tail -20
    finish 1
}
# await SECONDS COMMAND...: until it succeeds
await() {
    local left=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || return 1
        sleep 0.1
    done
}
# step NUMBER: a block of the chapter, as a user would type it.
step() {
    while read -r line; do echo "# $line"; done <"step$1.sh"
    sh -e "step$1.sh" || fail "step $1 of the chapter"
}
# Metrics, with a heading, for check.py.
scrape() {
    echo "== metrics $1" >/dev/ttyS1
    wget -q -O - http://127.0.0.1:9464/metrics >/dev/ttyS1 || fail "no metrics"
}
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
interface() { ls "/sys/bus/pci/devices/$1/net" 2>/dev/null; }
ports="0000:03:00.0 0000:03:00.1"

echo "guest: $(uname -r), up $(cut -d' ' -f1 /proc/uptime) s"
ip link set lo up
modprobe virtio_pci && modprobe virtio_net && modprobe "$card" || fail "modprobe"
for port in $ports; do
    await 5 interface "$port" || fail "$port is no interface of the kernel's"
    # Silent, whoever has it: each frame in the captures is of the two hosts.
    echo 1 >"/proc/sys/net/ipv6/conf/$(interface "$port")/disable_ipv6"
done
echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6

echo "guest: as booted"
echo "# weir doctor conf/two-port.toml"
weir doctor conf/two-port.toml && fail "doctor finds no fault in a machine that is not prepared"

step 1
step 2
for port in $ports; do
    [ "$(driver "$port")" = vfio-pci ] || fail "$port has $(driver "$port")"
done
step 3

overrides=
if [ "$workers" != 1 ]; then overrides="--set cores.workers=[$(echo "$workers" | tr ' ' ',')]"; fi
start() {
    # shellcheck disable=SC2086  # none or two words
    weir run conf/two-port.toml $overrides >/tmp/log 2>&1 &
    weir=$!
    await 60 wget -q -O - http://127.0.0.1:9464/readyz || { cat /tmp/log; fail "weir is not ready"; }
}
stop() {
    kill -TERM "$weir"
    wait "$weir" || { cat /tmp/log; fail "weir ended with $?"; }
    sed 's/^[^ ]* *//' /tmp/log
}
echo "# weir run conf/two-port.toml $overrides"
start
echo "guest: ready, up $(cut -d' ' -f1 /proc/uptime) s"

# Two hosts.
number=0
for name in a b; do
    ip netns add "$name"
    for device in /sys/class/net/*; do
        if [ "$(cat "$device/address")" = "52:54:00:00:00:0$number" ]; then
            ip link set "$(basename "$device")" netns "$name" name k
        fi
    done
    number=$((number + 1))
    ip netns exec "$name" sh -c 'echo 0 >/proc/sys/net/ipv6/conf/k/disable_ipv6; echo 0 >/proc/sys/net/ipv6/conf/k/accept_dad'
    ip -n "$name" address add "10.7.0.$number/24" dev k
    ip -n "$name" address add "fd07::$number/64" dev k
    ip -n "$name" link set k up
done
ip netns exec b iperf3 -s -D -p 5201
ip netns exec b iperf3 -s -D -p 5202
await 15 ip netns exec a ping -c 1 -W 1 10.7.0.2 || fail "no answer over IPv4"
await 15 ip netns exec a ping -6 -c 1 -W 1 fd07::2 || fail "no answer over IPv6"
echo "guest: both hosts answer; TCP, four flows of IPv4 and four of IPv6"
ip netns exec a iperf3 -c 10.7.0.2 -p 5201 -P 4 -t 6 -J >/tmp/v4 2>&1 &
four=$!
ip netns exec a iperf3 -c fd07::2 -p 5202 -P 4 -t 6 -J >/tmp/v6 2>&1 &
six=$!
for moment in 1 2 3; do
    sleep 1.5
    scrape "under traffic $moment"
done
wait "$four" || { cat /tmp/v4; fail "TCP over IPv4"; }
wait "$six" || { cat /tmp/v6; fail "TCP over IPv6"; }
ip netns exec a iperf3 -c 10.7.0.2 -p 5201 -R -n 2M -J >/tmp/back 2>&1 || { cat /tmp/back; fail "TCP the other way"; }
for flow in v4 v6 back; do
    echo "== iperf3 $flow" >/dev/ttyS1
    tr -d '\n\t' </tmp/$flow >/dev/ttyS1
    echo >/dev/ttyS1
done
# The hosts fall silent before the last look at the books.
ip -n a link set k down
ip -n b link set k down
sleep 0.5
scrape "at rest"
echo "# weir ctl status"
weir ctl status || fail "weir ctl"

echo "# kill -TERM $weir"
stop
echo "guest: weir has ended well; once more on the same ports"
start
stop
step 4
for port in $ports; do
    await 5 interface "$port" || fail "the kernel does not get $port back"
    [ "$(driver "$port")" = "$card" ] || fail "$port has $(driver "$port")"
    device=$(interface "$port")
    echo 1 >"/proc/sys/net/ipv6/conf/$device/disable_ipv6"
    ip link set "$device" up
    await 5 grep -q 1 "/sys/class/net/$device/carrier" || fail "$device has no carrier"
    echo "guest: $port is $device in the kernel, its link is up"
done
echo "== end" >/dev/ttyS1
finish 0
