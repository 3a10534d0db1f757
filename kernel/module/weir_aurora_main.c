// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A TCP congestion control whose pacing rate a network chooses, at the end of each monitor interval, from Aurora's features
 * (docs/features.md). The window is twice what the rate needs: it bounds what is in flight, the rate decides.
 *
 * A flow binds the active generation at an interval's end; under pin=flow it keeps the one that it has, while that is live and
 * for pin_max_ms at most. Where there is none, and in the control share, a rule decides: the highest delivery rate of the last
 * ten intervals, with BBR's probing gains. What a network decides is held by the brake (weir_brake.h). A flow for whose state
 * there is no memory goes by Reno.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/version.h>
#include "weir_aurora.h"

bool aurora_pin_flow;
unsigned int aurora_pin_max_ms = 2000;
module_param_named(pin_max_ms, aurora_pin_max_ms, uint, 0644);
MODULE_PARM_DESC(pin_max_ms, "under pin=flow: a flow follows the active generation after so many ms");

static unsigned int flows_max = 1 << 20;
module_param(flows_max, uint, 0644);
MODULE_PARM_DESC(flows_max, "flows that may have a state at once; further ones go by Reno");

static atomic_t flows_now = ATOMIC_INIT(0);

static int set_pin(const char *value, const struct kernel_param *param)
{
	bool flow = sysfs_streq(value, "flow");

	if (!flow && !sysfs_streq(value, "interval"))
		return -EINVAL;
	WRITE_ONCE(aurora_pin_flow, flow);
	return 0;
}

static int get_pin(char *buffer, const struct kernel_param *param)
{
	return sysfs_emit(buffer, "%s\n", READ_ONCE(aurora_pin_flow) ? "flow" : "interval");
}

static const struct kernel_param_ops pin_ops = { .set = set_pin, .get = get_pin };
module_param_cb(pin, &pin_ops, NULL, 0644);
MODULE_PARM_DESC(pin, "interval (a flow follows what is published) or flow (it keeps the generation that it has)");

struct state {
	struct flow *flow;
};

static struct flow *flow_of(const struct sock *sk)
{
	return ((const struct state *)inet_csk_ca(sk))->flow;
}

/*
 * Everything is counted in whole segments, here and for acknowledgements: bytes sent against segments acknowledged would bias
 * the send ratio.
 */
static void on_ack(struct sock *sk, const struct rate_sample *rs)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	struct flow *flow = flow_of(sk);
	u32 sent = tp->data_segs_out - flow->segments_out, mss = tp->mss_cache;

	flow->segments_out = tp->data_segs_out;
	if (sent)
		weir_on_send(&flow->mi, (u32)min_t(u64, (u64)sent * mss, U32_MAX), sent);
	if (rs->losses > 0)
		weir_on_loss(&flow->mi, (u32)min_t(u64, (u64)rs->losses * mss, U32_MAX));
	if (rs->acked_sacked > 0) {
		weir_on_ack(&flow->mi, (u32)min_t(u64, (u64)rs->acked_sacked * mss, U32_MAX));
		flow->acks++;
		flow->acks_app_limited += rs->is_app_limited;
	}
	if (rs->rtt_us >= 0)
		weir_on_rtt(&flow->mi, (u64)rs->rtt_us * NSEC_PER_USEC);
	if (weir_interval_due(&flow->mi, now_ns(tp), &flow->binding.spec))
		aurora_end_interval(sk, flow);
	else
		/* After a timeout the stack shut the window; srtt moves it too. */
		aurora_set_rate(sk, flow, flow->rate_bps);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
static void aurora_cong_control(struct sock *sk, u32 ack, int flag, const struct rate_sample *rs)
#else
static void aurora_cong_control(struct sock *sk, const struct rate_sample *rs)
#endif
{
	on_ack(sk, rs);
}

/* Loss says nothing that the features do not. */
static u32 aurora_ssthresh(struct sock *sk)
{
	return tcp_sk(sk)->snd_ssthresh;
}

static u32 aurora_undo_cwnd(struct sock *sk)
{
	return tcp_snd_cwnd(tcp_sk(sk));
}

static u32 aurora_sndbuf_expand(struct sock *sk)
{
	/* As BBR: the window may be twice the path's, and three keeps the application from limiting it. */
	return 3;
}

static void aurora_release(struct sock *sk)
{
	struct state *state = inet_csk_ca(sk);

	if (state->flow)
		atomic_dec(&flows_now);
	kfree(state->flow);
	state->flow = NULL;
}

static void aurora_init(struct sock *sk);

/* Under the same name, for flows without memory. */
static struct tcp_congestion_ops aurora_reno __read_mostly = {
	.ssthresh = tcp_reno_ssthresh,
	.cong_avoid = tcp_reno_cong_avoid,
	.undo_cwnd = tcp_reno_undo_cwnd,
	.owner = THIS_MODULE,
	.name = "weir_aurora",
};

static struct tcp_congestion_ops aurora __read_mostly = {
	.flags = TCP_CONG_NON_RESTRICTED,
	.name = "weir_aurora",
	.owner = THIS_MODULE,
	.init = aurora_init,
	.release = aurora_release,
	.cong_control = aurora_cong_control,
	.ssthresh = aurora_ssthresh,
	.undo_cwnd = aurora_undo_cwnd,
	.sndbuf_expand = aurora_sndbuf_expand,
};

/* Before a generation is there to say what its features are: docs/features.md's defaults. */
static const struct weir_spec default_spec = {
	WEIR_RULE_DEFAULTS,
	.clips = { { -32768, 32768 }, { 65536, 196608 }, { 32768, 131072 } },
};

static void aurora_init(struct sock *sk)
{
	struct state *state = inet_csk_ca(sk);
	struct weir_shares shares = weir_shares_now();
	struct flow *flow = NULL;

	if (atomic_inc_return(&flows_now) <= (int)min_t(u32, READ_ONCE(flows_max), INT_MAX))
		flow = kzalloc(sizeof(*flow), GFP_ATOMIC | __GFP_NOWARN);
	state->flow = flow;
	if (!flow) {
		atomic_dec(&flows_now);
		weir_count(flows_without_memory);
		inet_csk(sk)->icsk_ca_ops = &aurora_reno;
		return;
	}
	weir_count(flows);
	flow->id = get_random_u64();
	flow->share = aurora_draw_share(flow->id, &shares);
	flow->segments_out = tcp_sk(sk)->data_segs_out;
	weir_history_init(&flow->history);
	flow->bound_ns = now_ns(tcp_sk(sk));
	if (!weir_bind(WEIR_PACING, &flow->binding)) {
		flow->binding.generation = 0;
		flow->binding.spec = default_spec;
	}
	tcp_sk(sk)->snd_ssthresh = TCP_INFINITE_SSTHRESH;
	aurora_set_rate(sk, flow, RATE_START);
	cmpxchg(&sk->sk_pacing_status, SK_PACING_NONE, SK_PACING_NEEDED);
	aurora_open_interval(sk, flow);
}

static int __init aurora_module_init(void)
{
	BUILD_BUG_ON(sizeof(struct state) > ICSK_CA_PRIV_SIZE);
	return tcp_register_congestion_control(&aurora);
}

static void __exit aurora_module_exit(void)
{
	tcp_unregister_congestion_control(&aurora);
}

module_init(aurora_module_init);
module_exit(aurora_module_exit);
MODULE_DESCRIPTION("Weir: TCP congestion control by a quantised network");
MODULE_LICENSE("Dual MIT/GPL");
