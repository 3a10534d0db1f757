# SPDX-License-Identifier: MIT OR Apache-2.0
# Part of init: what a flow of weir_aurora keeps, and what it does without memory.
parameters=/sys/module/weir_aurora/parameters
weir-guest shares 0 0 0 0
check "pin takes two words only" refused sh -c "echo both >$parameters/pin"
echo flow >$parameters/pin
echo 60000 >$parameters/pin_max_ms
$ip netns exec s iperf3 -c 10.0.2.1 -C weir_aurora -t 600 >/dev/null 2>&1 &
under=$!
sleep 1
before=$(counter rebinds)
decided=$(counter decisions_model)
check "another is published" weir-guest install /data/aurora.wsnap
sleep 1
check "under pin=flow a flow keeps its generation" equal "$(counter rebinds)" "$before"
check "and decides by it" above "$(counter decisions_model)" "$decided"
check "until that is no longer live" weir-guest install /data/other.wsnap
sleep 1
check "then it follows" above "$(counter rebinds)" "$before"
kill -INT $under
wait $under
echo interval >$parameters/pin

echo 0 >$parameters/flows_max
before=$(counter flows_without_memory)
rate=$(flow weir_aurora 2)
say "without memory: $rate kb/s of 20000"
check "a flow without memory goes by Reno" above "$rate" 1000
check "and is counted" above "$(counter flows_without_memory)" "$before"
echo 1048576 >$parameters/flows_max
check "weir_yield may be chosen without privilege" grep -q weir_yield /proc/sys/net/ipv4/tcp_allowed_congestion_control
