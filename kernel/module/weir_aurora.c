// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A TCP congestion control whose pacing rate a network chooses, at the end of each monitor interval, from Aurora's features
 * (docs/features.md). The window is twice what the rate needs: it bounds what is in flight, the rate decides.
 *
 * A flow binds the active generation at an interval's end. Where there is none, and in the control share, a rule decides: the
 * highest delivery rate of the last ten intervals, with BBR's probing gains. A flow for whose state there is no memory goes
 * by Reno.
 */
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <net/tcp.h>
#include "weir_core.h"
#include "weir_explore.h"

/* Bounds of the guard, and a flow's rate before its first decision: those of conf/adaptive.toml. */
#define RATE_MIN 500000ULL
#define RATE_MAX 10000000000ULL
#define RATE_START 10000000ULL
/* What a segment has on the wire besides its payload: Ethernet, IPv4 and TCP with timestamps. */
#define HEADER_BYTES 66
/* The window allows for so much round trip at least: on a path of microseconds it would otherwise bound the rate. */
#define WINDOW_RTT_US 2000
#define WINDOW_MIN 10
/* Intervals of the rule's memory, and of one turn of its gains. */
#define RULE_INTERVALS 10
#define RULE_GAINS 8

enum share {
	SHARE_NONE,
	SHARE_CONTROL,
	SHARE_EXPLORE,
	SHARE_SAMPLE,
};

struct flow {
	struct weir_interval mi;
	struct weir_base base;
	struct weir_history history;
	struct weir_binding binding;
	u64 id;
	u64 rate_bps;
	/* Delivery rates of the last intervals, newest at rule_at - 1. */
	u64 delivered_bps[RULE_INTERVALS];
	u32 rule_at;
	u32 segments_out;
	u32 acks;
	u32 acks_app_limited;
	s32 output;
	s32 action;
	s32 noise;
	u32 sigma;
	u8 share;
	/* The rate of the open interval was decided at its beginning. */
	bool decided;
	bool by_model;
};

struct state {
	struct flow *flow;
};

static struct flow *flow_of(const struct sock *sk)
{
	return ((const struct state *)inet_csk_ca(sk))->flow;
}

static u64 now_ns(const struct tcp_sock *tp)
{
	return (u64)tp->tcp_mstamp * NSEC_PER_USEC;
}

static u32 wire_bytes(const struct tcp_sock *tp)
{
	return tp->mss_cache + HEADER_BYTES;
}

/* Payload of whole segments over an interval to bit/s on the wire. */
static u64 bits_per_s(const struct tcp_sock *tp, u64 payload_bytes, u64 duration_ns)
{
	u64 segments = div_u64(payload_bytes, max(tp->mss_cache, 1U));
	/* So that a million times as much fits. */
	u64 bytes = min(segments * wire_bytes(tp), 1ULL << 43);

	return div64_u64(bytes * USEC_PER_SEC, max(div_u64(duration_ns, NSEC_PER_USEC), 1ULL)) * 8;
}

static void set_rate(struct sock *sk, struct flow *flow, u64 rate_bps)
{
	struct tcp_sock *tp = tcp_sk(sk);
	u64 rtt_us = max(tp->srtt_us >> 3, WINDOW_RTT_US);
	u64 bytes_per_s, window;

	if (rate_bps < RATE_MIN)
		weir_count(guard_floor);
	else if (rate_bps > RATE_MAX)
		weir_count(guard_ceiling);
	flow->rate_bps = clamp(rate_bps, RATE_MIN, RATE_MAX);
	bytes_per_s = flow->rate_bps / 8;
	WRITE_ONCE(sk->sk_pacing_rate, min_t(u64, bytes_per_s, READ_ONCE(sk->sk_max_pacing_rate)));
	window = div_u64(2 * div_u64(bytes_per_s * rtt_us, USEC_PER_SEC), wire_bytes(tp)) + WINDOW_MIN;
	tcp_snd_cwnd_set(tp, min_t(u64, window, tp->snd_cwnd_clamp));
}

static void open_interval(struct sock *sk, struct flow *flow)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u64 length = weir_interval_ns(&flow->binding.spec, &flow->base, flow->rate_bps, wire_bytes(tp));

	weir_interval_open(&flow->mi, now_ns(tp), length);
	flow->acks = 0;
	flow->acks_app_limited = 0;
}

/* The control share's and explorers' flows are always told of: their number is chosen for it. */
static enum share draw_share(u64 id, const struct weir_shares *shares)
{
	u32 draw = id & 0xffff;

	if (draw < shares->control)
		return SHARE_CONTROL;
	if (draw < shares->control + shares->explore)
		return SHARE_EXPLORE;
	return draw < shares->control + shares->explore + shares->sample ? SHARE_SAMPLE : SHARE_NONE;
}

/* What the ended interval was, for the trainer: while history and decision are still those that governed it. */
static void tell(const struct tcp_sock *tp, const struct flow *flow, const struct weir_report *report)
{
	struct weir_sample sample = {
		.flow = flow->id,
		.rate_bps = flow->rate_bps,
		.at_ns = now_ns(tp),
		.duration_ns = report->duration_ns,
		.sent_bytes = flow->mi.sent_bytes,
		.acked_bytes = flow->mi.acked_bytes,
		.lost_bytes = flow->mi.lost_bytes,
		.rtt_ns = report->mean_rtt_ns,
		.base_rtt_ns = flow->base.min_mean_ns,
		.source = WEIR_SOURCE_CONTROL,
	};

	if (flow->by_model) {
		sample.source = flow->sigma ? WEIR_SOURCE_EXPLORED : WEIR_SOURCE_MODEL;
		sample.schema_hash = flow->binding.schema_hash;
		sample.generation = flow->binding.generation;
		weir_history_inputs(&flow->history, sample.features);
		sample.output_q16 = flow->output;
		sample.action_q16 = flow->action;
		sample.noise_q16 = flow->noise;
		sample.sigma_q16 = flow->sigma;
	} else if (flow->share != SHARE_CONTROL) {
		return;
	}
	weir_sample_push(&sample);
}

/*
 * What an interval says when the sender limited it (docs/decisions/0004-app-limited.md): nothing about higher rates. It may
 * lower the rate, to twice what was sent and no further if less than half of it was used.
 */
static u64 bounded_by_evidence(u64 decided, u64 present, u64 sent)
{
	u64 least = 2 * sent;

	if (least < present)
		return clamp(decided, least, present);
	return min(decided, present);
}

/* The network's decision; false where no generation is live. */
static bool decide_by_model(struct sock *sk, struct flow *flow, const s32 *row, u64 app_limited_at, bool app_limited)
{
	struct weir_binding active;
	s32 inputs[WEIR_INPUTS];
	u64 rate;

	if (flow->share == SHARE_CONTROL || !weir_bind(WEIR_PACING, &active))
		return false;
	if (memcmp(&active.spec, &flow->binding.spec, sizeof(active.spec))) {
		/* Rows of other definitions mean something else. */
		weir_history_init(&flow->history);
		memset(&flow->base, 0, sizeof(flow->base));
	} else {
		weir_history_push(&flow->history, row);
	}
	if (active.generation != flow->binding.generation) {
		if (flow->binding.generation)
			weir_count(rebinds);
		flow->binding = active;
	}
	weir_history_inputs(&flow->history, inputs);
	if (!weir_query(WEIR_PACING, active.generation, inputs, &flow->output))
		return false;

	flow->noise = 0;
	flow->sigma = 0;
	if (flow->share == SHARE_EXPLORE) {
		flow->sigma = weir_shares_now().sigma_q16;
		flow->noise = weir_noise(get_random_u64(), flow->sigma);
	}
	flow->action = (s32)clamp_t(s64, (s64)flow->output + flow->noise, -WEIR_ACTION_MAX, WEIR_ACTION_MAX);
	if (flow->action != (s64)flow->output + flow->noise)
		weir_count(guard_action);
	rate = weir_apply_action(flow->rate_bps, flow->action);
	if (app_limited)
		rate = bounded_by_evidence(rate, flow->rate_bps, app_limited_at);
	set_rate(sk, flow, rate);
	if (flow->sigma)
		weir_count(decisions_explored);
	else
		weir_count(decisions_model);
	return true;
}

/* The highest delivery rate of the last intervals, probed upwards one interval in eight, drained in the next. */
static void decide_by_rule(struct sock *sk, struct flow *flow, u64 delivered_bps, bool app_limited)
{
	u64 highest = 0, rate;
	u32 i;

	for (i = 0; i < RULE_INTERVALS; i++)
		highest = max(highest, flow->delivered_bps[i]);
	if (!app_limited || delivered_bps > highest) {
		flow->delivered_bps[flow->rule_at++ % RULE_INTERVALS] = delivered_bps;
		highest = max(highest, delivered_bps);
	}
	switch (flow->rule_at % RULE_GAINS) {
	case 0:
		rate = highest / 4 * 5;
		break;
	case 1:
		rate = highest / 4 * 3;
		break;
	default:
		rate = highest;
	}
	/* Until the pipe is full the rate doubles with each interval that delivered what was sent. */
	if (flow->rule_at < RULE_INTERVALS && delivered_bps > flow->rate_bps / 4 * 3)
		rate = 2 * flow->rate_bps;
	set_rate(sk, flow, rate);
	if (flow->share == SHARE_CONTROL)
		weir_count(decisions_control);
	else
		weir_count(decisions_rule);
}

static void end_interval(struct sock *sk, struct flow *flow)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	/* More than a fifth of its acknowledgements were of what a pausing sender sent. */
	bool app_limited = 5 * flow->acks_app_limited > flow->acks;
	struct weir_report report;

	weir_interval_finish(&flow->mi, now_ns(tp), &flow->base, &flow->binding.spec, &report);
	if (!report.mean_rtt_ns) {
		/* Silence is no ground for a decision. */
		weir_count(intervals_without_rtt);
		flow->decided = false;
	} else {
		u64 sent = bits_per_s(tp, flow->mi.sent_bytes, report.duration_ns);

		weir_count(intervals);
		if (app_limited)
			weir_count(intervals_app_limited);
		else if (flow->decided && flow->share != SHARE_NONE)
			tell(tp, flow, &report);
		flow->by_model = decide_by_model(sk, flow, report.features, sent, app_limited);
		if (!flow->by_model)
			decide_by_rule(sk, flow, bits_per_s(tp, flow->mi.acked_bytes, report.duration_ns), app_limited);
		flow->decided = true;
	}
	open_interval(sk, flow);
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
		end_interval(sk, flow);
	else
		/* After a timeout the stack shut the window; srtt moves it too. */
		set_rate(sk, flow, flow->rate_bps);
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
	struct flow *flow = kzalloc(sizeof(*flow), GFP_ATOMIC | __GFP_NOWARN);

	state->flow = flow;
	if (!flow) {
		weir_count(flows_without_memory);
		inet_csk(sk)->icsk_ca_ops = &aurora_reno;
		return;
	}
	weir_count(flows);
	flow->id = get_random_u64();
	flow->share = draw_share(flow->id, &shares);
	flow->segments_out = tcp_sk(sk)->data_segs_out;
	weir_history_init(&flow->history);
	if (!weir_bind(WEIR_PACING, &flow->binding)) {
		flow->binding.generation = 0;
		flow->binding.spec = default_spec;
	}
	tcp_sk(sk)->snd_ssthresh = TCP_INFINITE_SSTHRESH;
	set_rate(sk, flow, RATE_START);
	cmpxchg(&sk->sk_pacing_status, SK_PACING_NONE, SK_PACING_NEEDED);
	open_interval(sk, flow);
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
