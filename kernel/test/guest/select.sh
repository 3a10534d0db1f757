# SPDX-License-Identifier: MIT OR Apache-2.0
# Part of init: weir_select, in the topology that stands. A second way from s to r is 60 ms longer than the one by m; what has
# mark 2 takes it. What flows get is seen by a capture of what s sends.
$ip -n s link add s1 type veth peer name r1 netns r
$ip -n s addr add 10.0.3.1/24 dev s1
$ip -n s addr add fd03::1/64 dev s1 nodad
$ip -n r addr add 10.0.3.2/24 dev r1
$ip -n r addr add fd03::2/64 dev r1 nodad
for at in s:s1 r:r1; do $ip -n ${at%:*} link set ${at#*:} up; done
$ip netns exec s $tc qdisc add dev s1 root netem delay 60ms limit 10000
$ip -n s rule add fwmark 2 lookup 102
$ip -n s -6 rule add fwmark 2 lookup 102
$ip -n s route add default via 10.0.3.2 table 102
$ip -n s -6 route add default via fd03::2 table 102

# Some flows of a second and some 40 kB each, by IPv4 or IPv6; what the capture saw of them is in /tmp/seen.
seen() {
    # What the last ones still have to say, by the long way too, is not of these.
    sleep 0.5
    $ip netns exec s weir-capture >/tmp/seen &
    capture=$!
    $ip netns exec s iperf3 -c $1 -C cubic -P $2 -t 1 -b 300K -l 4K >/tmp/iperf.txt 2>&1 || tail -1 /tmp/iperf.txt
    kill -TERM $capture
    wait $capture
}
# Of the flows seen, those whose field is a value.
count() { awk -v field=$1 -v value=$2 '$field == value { n++ } END { print n + 0 }' /tmp/seen; }
flows() { wc -l </tmp/seen; }
# The first segment's DSCP is at 4, the interface at 2, its changes at 3, the label at 5, its changes at 6.
same() { equal "$(count $1 $2)" "$(flows)"; }

weir-guest shares 0 0 0 0
check "two paths with one mark are refused" refused insmod /mod/weir_select.ko marks=1,1
check "a DSCP of 64 is refused" refused insmod /mod/weir_select.ko dscp=64,0,0,0,0,0,0,0
check "sizes that fall are refused" refused insmod /mod/weir_select.ko sizes=7,6,5,4,3,2,1
check "weir_select loads" insmod /mod/weir_select.ko marks=1,2 flow_label=1

seen 10.0.2.1 12
say "by rules: $(count 2 s0) flows by m, $(count 2 s1) by the long way"
check "without a network flows are spread over the paths" above "$(count 2 s1)" 0
check "over both" above "$(count 2 s0)" 0
check "each keeps its path" same 3 0
check "and begins with the most urgent mark" same 4 40
check "the rules were counted" above "$(counter select_sizes_rule)" 11

before=$(generation)
check "a network of paths is installed" weir-guest install /data/select/fast.wsnap
check "one of sizes" weir-guest install /data/select/large.wsnap
check "pacing's generation is another's business" equal "$(generation)" "$before"
seen 10.0.2.1 8
check "the network's path: the fast one" same 2 s0
check "each keeps it" same 3 0
check "large flows have the least urgent mark" same 4 1

# Under traffic: what is live keeps its path and its priority, what is new follows the new networks.
$ip netns exec s weir-capture >/tmp/long.txt &
long=$!
asked=$(counter select_sizes_model)
$ip netns exec s iperf3 -c 10.0.2.1 -p 5202 -C cubic -t 60 >/dev/null 2>&1 &
bulk=$!
# Its data and its control connection's have been decided about.
for attempt in $(seq 50); do
    [ "$(counter select_sizes_model)" -ge $((asked + 2)) ] && break
    sleep 0.2
done
check "swapped under traffic: the slow path" weir-guest install /data/select/slow.wsnap
check "small sizes" weir-guest install /data/select/small.wsnap
seen 10.0.2.1 4
check "new flows take the slow path" above "$(count 2 s1)" 4
kill -INT $bulk
wait $bulk
# What it had still to send.
sleep 2
kill -TERM $long
wait $long
cp /tmp/long.txt /tmp/seen
bulk=$(sort -n -k 7 /tmp/seen | tail -1)
say "the flow that was there: $bulk"
check "the flow that was there kept its path" equal "$(echo $bulk | cut -d' ' -f2,3)" "s0 0"
check "new ones have the most urgent mark, it the least" equal "$(echo $bulk | cut -d' ' -f4)" 1

seen fd02::1 4
say "IPv6: $(head -2 /tmp/seen | tr '\n' ';')"
check "IPv6: the network's path" same 2 s1
check "IPv6: the network's mark" same 4 40
check "IPv6: a flow label each" equal "$(count 5 0)" 0
check "IPv6: and it stays" same 6 0
say "$(grep '^path' /sys/kernel/debug/weir/select)"
check "the paths are told apart" above "$(sed -n 's/^path 1 .* rtt_us \([0-9]*\) .*/\1/p' /sys/kernel/debug/weir/select)" 60000
check "the networks were asked" above "$(counter select_paths_model)" 20
check "nothing failed" equal "$(counter select_failed)$(counter select_unroutable)" 00

$ip netns exec s iperf3 -c 10.0.2.1 -p 5202 -C cubic -t 60 >/dev/null 2>&1 &
under=$!
sleep 1
check "unloaded under traffic" rmmod weir_select
sleep 1
check "the flow lives" kill -0 $under
check "a table of eight" insmod /mod/weir_select.ko marks=1,2 flows_max=8
seen 10.0.2.1 16
check "flows without a place are counted" above "$(counter select_table_full)" 0
check "and keep their path by the rule" same 3 0
kill -INT $under
wait $under
check "unloaded again" rmmod weir_select
check "the networks are withdrawn" weir-guest withdraw 1
check "both" weir-guest withdraw 2
