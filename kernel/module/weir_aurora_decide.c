// SPDX-License-Identifier: MIT OR GPL-2.0
/* What a flow of weir_aurora does at an interval's end: who decides, what comes out, and who is told. */
#include <linux/random.h>
#include "weir_aurora.h"
#include "weir_explore.h"

/* Bounds of the guard: those of conf/adaptive.toml. */
#define RATE_MIN 500000ULL
#define RATE_MAX 10000000000ULL
/* The window allows for so much round trip at least: on a path of microseconds it would otherwise bound the rate. */
#define WINDOW_RTT_US 2000
#define WINDOW_MIN 10

/* Payload of whole segments over an interval to bit/s on the wire. */
static u64 bits_per_s(const struct tcp_sock *tp, u64 payload_bytes, u64 duration_ns)
{
	u64 segments = div_u64(payload_bytes, max(tp->mss_cache, 1U));
	/* So that a million times as much fits. */
	u64 bytes = min(segments * wire_bytes(tp), 1ULL << 43);

	return div64_u64(bytes * USEC_PER_SEC, max(div_u64(duration_ns, NSEC_PER_USEC), 1ULL)) * 8;
}

void aurora_set_rate(struct sock *sk, struct flow *flow, u64 rate_bps)
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

void aurora_open_interval(struct sock *sk, struct flow *flow)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u64 length = weir_interval_ns(&flow->binding.spec, &flow->base, flow->rate_bps, wire_bytes(tp));

	weir_interval_open(&flow->mi, now_ns(tp), length);
	flow->acks = 0;
	flow->acks_app_limited = 0;
}

/* The control share's and explorers' flows are always told of: their number is chosen for it. */
enum share aurora_draw_share(u64 id, const struct weir_shares *shares)
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

/* The generation that decides now; false where there is none. */
static bool bind_flow(const struct flow *flow, u64 now, struct weir_binding *binding)
{
	u64 pin_ns = (u64)READ_ONCE(aurora_pin_max_ms) * NSEC_PER_MSEC;

	if (READ_ONCE(aurora_pin_flow) && weir_since(now, flow->bound_ns) < pin_ns &&
	    weir_is_live(WEIR_PACING, flow->binding.generation)) {
		*binding = flow->binding;
		return true;
	}
	return weir_bind(WEIR_PACING, binding);
}

/* What is told as lost brakes the flow; the sender's stack holds nothing back that an RTT does not show. */
static void brake(const struct tcp_sock *tp, struct flow *flow, const struct weir_report *report)
{
	u64 segments = div_u64(flow->mi.acked_bytes, max(tp->mss_cache, 1U));
	struct weir_outcome seen = {
		.lost_bytes = flow->mi.lost_bytes,
		.acked_bytes = flow->mi.acked_bytes,
		.delivered_bytes = segments * wire_bytes(tp),
		.duration_ns = report->duration_ns,
		.mean_rtt_ns = report->mean_rtt_ns,
	};

	weir_brake_observe(&flow->brake, &seen);
}

/* The network's decision; false where no generation is live. */
static bool decide_by_model(struct sock *sk, struct flow *flow, const struct weir_report *report, u64 app_limited_at,
			    bool app_limited)
{
	u64 now = now_ns(tcp_sk(sk)), rate, held;
	struct weir_binding active;
	s32 inputs[WEIR_INPUTS];

	if (flow->share == SHARE_CONTROL || !bind_flow(flow, now, &active))
		return false;
	if (memcmp(&active.spec, &flow->binding.spec, sizeof(active.spec))) {
		/* Rows of other definitions mean something else. */
		weir_history_init(&flow->history);
		memset(&flow->base, 0, sizeof(flow->base));
		memset(&flow->longer, 0, sizeof(flow->longer));
	} else {
		weir_history_push(&flow->history, report->features);
	}
	if (active.generation != flow->binding.generation) {
		if (flow->binding.generation)
			weir_count(rebinds);
		flow->binding = active;
		flow->bound_ns = now;
	}
	weir_history_inputs(&flow->history, inputs);
	if (!weir_query(WEIR_PACING, active.generation, inputs, &flow->output))
		return false;

	brake(tcp_sk(sk), flow, report);
	if (weir_longer_observe(&flow->longer, &flow->base, report->mean_rtt_ns, report->duration_ns, flow->rate_bps, RATE_MIN))
		weir_count(longer_paths);
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
	held = weir_brake_limit(&flow->brake, rate);
	if (held < rate)
		weir_count(guard_loss);
	aurora_set_rate(sk, flow, held);
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
	aurora_set_rate(sk, flow, rate);
	if (flow->share == SHARE_CONTROL)
		weir_count(decisions_control);
	else
		weir_count(decisions_rule);
}

void aurora_end_interval(struct sock *sk, struct flow *flow)
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
		flow->by_model = decide_by_model(sk, flow, &report, sent, app_limited);
		if (!flow->by_model) {
			/* A rule goes by what was delivered, and starts from nothing else. */
			memset(&flow->brake, 0, sizeof(flow->brake));
			memset(&flow->longer, 0, sizeof(flow->longer));
			decide_by_rule(sk, flow, bits_per_s(tp, flow->mi.acked_bytes, report.duration_ns), app_limited);
		}
		flow->decided = true;
	}
	aurora_open_interval(sk, flow);
}
