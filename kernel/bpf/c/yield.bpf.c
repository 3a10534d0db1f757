// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * weir_yield: the sender's half of pacing mode `yield`. It sends whatever the receive window admits, answers neither loss nor
 * marks, and leaves the rate to a Weir on the way, which paces the flow and lowers the receive window that its sender sees
 * (AC/DC TCP's arrangement: He et al., SIGCOMM 2016). Without such a Weir it overruns the network: not for use alone.
 */
#include "weir_kernel.h"

/* Segments beyond what the window admits: a window that has just grown need not wait for the next acknowledgement. */
#define SPARE_SEGMENTS 10
/* TCP sizes its send buffer by the window, in 32 signed bits: 65 536 segments with their headers still fit. */
#define WINDOW_MAX 65536

char _license[] SEC("license") = "Dual MIT/GPL";

SEC("struct_ops/yield_ssthresh")
u32 BPF_PROG(yield_ssthresh, struct sock *sk)
{
	return TCP_INFINITE_SSTHRESH;
}

/* After each acknowledgement; a control that has this is asked for no other reaction to it. */
SEC("struct_ops/yield_cong_control")
void BPF_PROG(yield_cong_control, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	u32 mss = tp->mss_cache, window;

	window = tp->snd_wnd / (mss ? mss : 1) + SPARE_SEGMENTS;
	tp->snd_cwnd = window < WINDOW_MAX ? window : WINDOW_MAX;
	/* A socket that began with another control keeps that one's rate: BBR, for one, leaves pacing switched on. */
	sk->sk_pacing_rate = sk->sk_max_pacing_rate;
}

SEC("struct_ops/yield_undo_cwnd")
u32 BPF_PROG(yield_undo_cwnd, struct sock *sk)
{
	return ((struct tcp_sock *)sk)->snd_cwnd;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops weir_yield = {
	.flags = TCP_CONG_NON_RESTRICTED,
	.ssthresh = (void *)yield_ssthresh,
	.cong_control = (void *)yield_cong_control,
	.undo_cwnd = (void *)yield_undo_cwnd,
	.name = "weir_yield",
};
