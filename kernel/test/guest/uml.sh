# SPDX-License-Identifier: MIT OR Apache-2.0
# Part of init, in User Mode Linux: virtual time, in which work of the CPU takes none, so that goodput compares; and a kernel
# that checks locks, RCU and sleeping.
modules weir_core weir_test weir_aurora weir_yield weir_snap_aurora
check "the trace gives its integers" weir-guest trace /data/trace.txt
check "the trace of decisions, too" weir-guest trace /data/decisions.txt
read seed count compiled other </data/query.txt
check "compiled in: the scalar executor's results" equal "$(weir-guest query $seed $count)" $compiled
topology
weir-guest shares 0 0 0 0

# Received kb/s of three controls, one after the other.
compare() {
    say "$1"
    for name in cubic bbr weir_aurora; do
        eval $name='$(flow $name 20)'
        eval say '"$name: $'$name' kb/s"'
    done
}
compare "20 Mb/s, 20 ms, queue of 60 kB, 20 s each"
check "weir_aurora reaches 90 % of BBR's goodput" above $((weir_aurora * 100)) $((bbr * 90))
$ip netns exec m $tc qdisc del dev m1 root
$ip netns exec m $tc qdisc add dev m1 root handle 1: netem loss 0.5% limit 10000
$ip netns exec m $tc qdisc add dev m1 parent 1: handle 2: tbf rate 20mbit burst 16kb limit 60000
compare "the same with 0.5 % random loss"
check "weir_aurora beats CUBIC at 0.5 % random loss" above "$weir_aurora" "$cubic"

$ip netns exec s iperf3 -c 10.0.2.1 -C weir_aurora -t 600 >/dev/null 2>&1 &
under=$!
sleep 1
check "300 swaps under a flow" weir-guest swap 300 /data/other.wsnap /data/aurora.wsnap
kill -INT $under
wait $under
check "1000 hostile messages" weir-guest fuzz 1000 2 /data/other.wsnap
. /tier/aurora.sh
check "memory that is short: Reno" weir-starve /run/netns/s 10.0.2.1 5202
. /tier/select.sh
check "withdrawn" weir-guest withdraw
killall iperf3
for name in s m r; do $ip netns del $name; done
sleep 2
for name in weir_snap_aurora weir_test weir_aurora weir_yield weir_core; do check "rmmod $name" rmmod $name; done
# One complaint switches lockdep off for good.
check "lockdep has watched all of it" grep -q 'debug_locks: *1' /proc/lockdep_stats
