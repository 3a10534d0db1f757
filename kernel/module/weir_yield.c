// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A TCP congestion control that leaves the rate to the path: the window is bound by the receiver's alone, and loss changes
 * nothing. For hosts behind a Weir that paces them and clamps the receive window (pacing mode `yield`): on an open network
 * it would be a flood.
 */
#include <linux/module.h>
#include <net/tcp.h>
#include <linux/version.h>
#include "weir_core.h"

static void yield_open(struct sock *sk)
{
	struct tcp_sock *tp = tcp_sk(sk);

	/* A socket that began with another control keeps that one's rate: BBR, for one, leaves pacing switched on. */
	WRITE_ONCE(sk->sk_pacing_rate, READ_ONCE(sk->sk_max_pacing_rate));
	tcp_snd_cwnd_set(tp, min_t(u32, max_t(u32, tp->snd_wnd / max(tp->mss_cache, 1U) + 1, 10), tp->snd_cwnd_clamp));
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
static void yield_cong_control(struct sock *sk, u32 ack, int flag, const struct rate_sample *rs)
#else
static void yield_cong_control(struct sock *sk, const struct rate_sample *rs)
#endif
{
	yield_open(sk);
}

static void yield_init(struct sock *sk)
{
	weir_count(yield_flows);
	tcp_sk(sk)->snd_ssthresh = TCP_INFINITE_SSTHRESH;
	yield_open(sk);
}

static u32 yield_ssthresh(struct sock *sk)
{
	return TCP_INFINITE_SSTHRESH;
}

static u32 yield_undo_cwnd(struct sock *sk)
{
	return tcp_snd_cwnd(tcp_sk(sk));
}

static struct tcp_congestion_ops yield_ops __read_mostly = {
	.flags = TCP_CONG_NON_RESTRICTED,
	.name = "weir_yield",
	.owner = THIS_MODULE,
	.init = yield_init,
	.cong_control = yield_cong_control,
	.ssthresh = yield_ssthresh,
	.undo_cwnd = yield_undo_cwnd,
};

static int __init yield_module_init(void)
{
	return tcp_register_congestion_control(&yield_ops);
}

static void __exit yield_module_exit(void)
{
	tcp_unregister_congestion_control(&yield_ops);
}

module_init(yield_module_init);
module_exit(yield_module_exit);
MODULE_DESCRIPTION("Weir: a sender whose rate the path decides");
MODULE_LICENSE("Dual MIT/GPL");
