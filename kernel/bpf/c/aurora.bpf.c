// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * weir_aurora: a pacing snapshot as a congestion control (Aurora: Jay et al., ICML 2019; features and interval rule as
 * docs/features.md defines them, on the text that the kernel module shares).
 *
 * At each acknowledgement the socket's own counters tell what was sent, delivered and lost since the last; at the end of a
 * monitor interval the network says how the rate changes, and within [rate_min, rate_max] and what the brake allows that is the
 * pacing rate. The window is twice what the rate brings in a round trip, so that pacing and not the window decides.
 *
 * The network is the value of an inner map in slot 0 of `nets`. Another one put there is what every flow uses from its next
 * interval on; the kernel frees the old one when no program reads it any more. Slot 1 is for a candidate, which `evaluate`
 * runs before it is let in.
 */
#include "weir_kernel.h"
#include "weir_net.h"
#include "weir_brake.h"
#include "weir_longer.h"

#define SLOT_LIVE 0
#define SLOT_CANDIDATE 1
/* A window's least segments: TCP's initial window (RFC 6928). */
#define WINDOW_MIN 10
#define WINDOW_MAX 65536
/* Ethernet, IP and TCP with timestamps: what a segment is longer than its payload on the wire. */
#define HEADER_BYTES 66
/* Rows of one test run, and numbers of one event of a trace. */
#define ROWS_MAX 10000
#define EVENTS_MAX 16384
#define EVENT_ARGUMENTS 12
#define EVENT_RESULTS 32

char _license[] SEC("license") = "Dual MIT/GPL";

struct weir_settings {
	u64 rate_start_bps;
	u64 rate_min_bps;
	u64 rate_max_bps;
};

/* Counted over all flows. */
struct weir_stats {
	u64 flows;
	/* No memory for a flow's state: it keeps its window until there is. */
	u64 refused;
	u64 decisions;
	/* Intervals whose sender had nothing to send: the rate may not rise. */
	u64 app_limited;
	/* The bounds held a rate. */
	u64 bounded;
	/* The brake did. */
	u64 braked;
};

/*
 * A flow, in its socket's storage. The working memory of an inference is the flow's own: acknowledgements are also handled in process
 * context with interrupts on, where another flow may come in between on the same CPU. The socket's lock keeps others off
 * this one.
 */
struct weir_flow {
	struct weir_interval interval;
	struct weir_base base;
	struct weir_history history;
	struct weir_report report;
	struct weir_brake brake;
	struct weir_longer longer;
	u64 rate_bps;
	u32 segments_sent;
	u32 delivered;
	u32 lost;
	/* Of this acknowledgement, in us; 0 for none. */
	u32 rtt_us;
	struct weir_work work;
};

struct weir_row {
	s32 features[WEIR_WIDTH_MAX];
	s32 results[WEIR_WIDTH_MAX];
};

struct weir_event {
	u32 kind;
	u32 none;
	s64 arguments[EVENT_ARGUMENTS];
	s64 results[EVENT_RESULTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_net);
} net SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, u32);
	__array(values, typeof(net));
} nets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_stats);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weir_flow);
} flows SEC(".maps");

/* Of the test programs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ROWS_MAX);
	__type(key, u32);
	__type(value, struct weir_row);
} rows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, EVENTS_MAX);
	__type(key, u32);
	__type(value, struct weir_event);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_flow);
} bench SEC(".maps");

/* Of the trace, whose own line names them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct weir_spec);
} bench_spec SEC(".maps");

static const u32 zero = 0;

static __always_inline const struct weir_net *weir_net_at(u32 slot)
{
	void *inner = bpf_map_lookup_elem(&nets, &slot);

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

static __always_inline u64 weir_bounded(const struct weir_settings *set, u64 rate)
{
	return weir_min(weir_max(rate, set->rate_min_bps), set->rate_max_bps);
}

static __always_inline void weir_begin(struct weir_flow *flow, const struct weir_net *net, u32 mss)
{
	u64 length = weir_interval_ns(&net->spec, &flow->base, flow->rate_bps, mss + HEADER_BYTES);

	weir_interval_open(&flow->interval, bpf_ktime_get_ns(), length);
}

/* The flow's rate becomes the socket's. */
static __always_inline void weir_pace(struct sock *sk, const struct weir_flow *flow)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	u64 bytes_per_second = flow->rate_bps / 8;
	/* At most 2^50 / 8 bytes per second times 2^36 ns / 1 000: below 2^64 with the shift taken first. */
	u64 in_flight = (bytes_per_second >> 10) * (tp->srtt_us >> 3) / (1000000 >> 10);
	u32 mss = tp->mss_cache ? tp->mss_cache : 1;
	u64 window = 2 * in_flight / mss;

	sk->sk_pacing_rate = weir_min(bytes_per_second, sk->sk_max_pacing_rate);
	if (sk->sk_pacing_status == SK_PACING_NONE)
		sk->sk_pacing_status = SK_PACING_NEEDED;
	tp->snd_cwnd = (u32)weir_min(weir_max(window, WINDOW_MIN), WINDOW_MAX);
}

/* The state of a flow that has none yet. */
static __noinline struct weir_flow *weir_open(struct sock *sk)
{
	struct weir_settings *set = bpf_map_lookup_elem(&settings, &zero);
	struct weir_stats *counted = bpf_map_lookup_elem(&stats, &zero);
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	const struct weir_net *net = weir_net_at(SLOT_LIVE);
	struct weir_flow *flow;

	if (!set || !counted || !net)
		return NULL;
	flow = bpf_sk_storage_get(&flows, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!flow) {
		__sync_fetch_and_add(&counted->refused, 1);
		return NULL;
	}
	__sync_fetch_and_add(&counted->flows, 1);
	weir_history_init(&flow->history);
	flow->base.min_mean_ns = 0;
	flow->base.last_mean_ns = 0;
	flow->rate_bps = weir_bounded(set, set->rate_start_bps);
	flow->segments_sent = tp->data_segs_out;
	flow->delivered = tp->delivered;
	flow->lost = tp->lost;
	flow->rtt_us = 0;
	weir_begin(flow, net, tp->mss_cache);
	return flow;
}

/* What an ended interval lost, by what is told: the stack holds nothing back that an RTT does not show. */
static __always_inline void weir_brake_flow(struct weir_flow *flow, u32 mss)
{
	const struct weir_interval *mi = &flow->interval;
	struct weir_outcome seen = {
		.lost_bytes = mi->lost_bytes,
		.acked_bytes = mi->acked_bytes,
		.delivered_bytes = mi->acked_bytes / (mss ? mss : 1) * (mss + HEADER_BYTES),
		.duration_ns = flow->report.duration_ns,
		.mean_rtt_ns = flow->report.mean_rtt_ns,
	};

	if (seen.mean_rtt_ns)
		weir_brake_observe(&flow->brake, &seen);
}

/* The end of an interval: a row of features, a decision, the next rate. */
static __noinline int weir_decide(struct sock *sk, struct weir_flow *flow)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	u64 now = bpf_ktime_get_ns(), wanted, free;
	struct weir_settings *set;
	struct weir_stats *counted;
	const struct weir_net *net;
	s32 action;

	/* Nearly every acknowledgement ends here. No interval is due before its end, whatever the network's spec. */
	if (!flow || now < flow->interval.end_ns)
		return 0;
	set = bpf_map_lookup_elem(&settings, &zero);
	counted = bpf_map_lookup_elem(&stats, &zero);
	net = weir_net_at(SLOT_LIVE);
	if (!set || !counted || !net || !weir_interval_due(&flow->interval, now, &net->spec))
		return 0;
	weir_interval_finish(&flow->interval, now, &flow->base, &net->spec, &flow->report);
	weir_history_push(&flow->history, flow->report.features);
	weir_history_inputs(&flow->history, flow->work.features);
	weir_infer(net, &flow->work);
	__sync_fetch_and_add(&counted->decisions, 1);
	action = weir_clamp(flow->work.values[0], -WEIR_ACTION_MAX, WEIR_ACTION_MAX);
	if (action > 0 && tp->app_limited) {
		__sync_fetch_and_add(&counted->app_limited, 1);
		action = 0;
	}
	weir_brake_flow(flow, tp->mss_cache);
	if (flow->report.mean_rtt_ns)
		weir_longer_observe(&flow->longer, &flow->base, flow->report.mean_rtt_ns, flow->report.duration_ns,
				    flow->rate_bps, set->rate_min_bps);
	free = weir_apply_action(flow->rate_bps, action);
	wanted = weir_brake_limit(&flow->brake, free);
	if (wanted != free)
		__sync_fetch_and_add(&counted->braked, 1);
	flow->rate_bps = weir_bounded(set, wanted);
	if (flow->rate_bps != wanted)
		__sync_fetch_and_add(&counted->bounded, 1);
	weir_begin(flow, net, tp->mss_cache);
	return 0;
}

SEC("struct_ops/aurora_init")
void BPF_PROG(aurora_init, struct sock *sk)
{
	struct weir_flow *flow = weir_open(sk);

	if (flow)
		weir_pace(sk, flow);
}

/* Comes before cong_control for each acknowledgement of new data. */
SEC("struct_ops/aurora_pkts_acked")
void BPF_PROG(aurora_pkts_acked, struct sock *sk, const struct ack_sample *sample)
{
	struct weir_flow *flow = bpf_sk_storage_get(&flows, sk, NULL, 0);

	if (flow && sample->rtt_us > 0)
		flow->rtt_us = sample->rtt_us;
}

SEC("struct_ops/aurora_cong_control")
void BPF_PROG(aurora_cong_control, struct sock *sk)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct weir_flow *flow = bpf_sk_storage_get(&flows, sk, NULL, 0);
	u32 mss = tp->mss_cache, segments, delivered, lost;

	if (!flow)
		flow = weir_open(sk);
	if (!flow)
		return;
	segments = tp->data_segs_out - flow->segments_sent;
	delivered = tp->delivered - flow->delivered;
	/* A loss that turns out to be none is taken back. */
	lost = tp->lost - flow->lost;
	flow->segments_sent = tp->data_segs_out;
	flow->delivered = tp->delivered;
	flow->lost = tp->lost;
	/* In whole segments, as what is delivered is told: bytes against segments would bias the send ratio. */
	if (segments)
		weir_on_send(&flow->interval, (u32)weir_min((u64)segments * mss, 0xffffffff), segments);
	weir_on_ack(&flow->interval, delivered * mss);
	if (flow->rtt_us)
		weir_on_rtt(&flow->interval, (u64)flow->rtt_us * 1000);
	flow->rtt_us = 0;
	if (lost && !(lost >> 31))
		weir_on_loss(&flow->interval, lost * mss);
	weir_decide(sk, flow);
	weir_pace(sk, flow);
}

SEC("struct_ops/aurora_ssthresh")
u32 BPF_PROG(aurora_ssthresh, struct sock *sk)
{
	return TCP_INFINITE_SSTHRESH;
}

SEC("struct_ops/aurora_undo_cwnd")
u32 BPF_PROG(aurora_undo_cwnd, struct sock *sk)
{
	return ((struct tcp_sock *)sk)->snd_cwnd;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops weir_aurora = {
	.flags = TCP_CONG_NON_RESTRICTED,
	.init = (void *)aurora_init,
	.ssthresh = (void *)aurora_ssthresh,
	.pkts_acked = (void *)aurora_pkts_acked,
	.cong_control = (void *)aurora_cong_control,
	.undo_cwnd = (void *)aurora_undo_cwnd,
	.name = "weir_aurora",
};

/* What follows is run by BPF_PROG_TEST_RUN only. */

struct weir_request {
	u32 slot;
	u32 count;
};

static long weir_row_step(u32 at, const u32 *slot)
{
	struct weir_row *row = bpf_map_lookup_elem(&rows, &at);
	struct weir_flow *flow = bpf_map_lookup_elem(&bench, &zero);
	const struct weir_net *net = weir_net_at(*slot);

	if (!row || !flow || !net)
		return 1;
	__builtin_memcpy(flow->work.features, row->features, 512);
	__builtin_memcpy(&flow->work.features[128], &row->features[128], 512);
	if (weir_infer(net, &flow->work))
		return 1;
	__builtin_memcpy(row->results, flow->work.values, 512);
	__builtin_memcpy(&row->results[128], &flow->work.values[128], 512);
	return 0;
}

/* Results of the first `count` rows by the network in a slot; returns how many it did. */
SEC("syscall")
int evaluate(struct weir_request *request)
{
	u32 slot = request->slot, count = request->count;

	if (slot > SLOT_CANDIDATE || count > ROWS_MAX)
		return -1;
	return bpf_loop(count, weir_row_step, &slot, 0);
}

enum weir_event_kind {
	EVENT_SPEC,
	EVENT_FLOW,
	EVENT_OPEN,
	EVENT_SEND,
	EVENT_ACK,
	EVENT_LOSS,
	EVENT_DUE,
	EVENT_END,
	EVENT_INPUTS,
	EVENT_ACTION,
	EVENT_BRAKE_BEGIN,
	EVENT_BRAKE,
	EVENT_LONGER_BEGIN,
	EVENT_LONGER,
};

static __noinline int weir_event_spec(struct weir_spec *spec, const struct weir_event *event)
{
	u32 i;

	if (!spec || !event)
		return 1;
	spec->rtt_floor_ns = event->arguments[0];
	spec->interval_rtt_q8 = event->arguments[1];
	spec->interval_packets_min = event->arguments[2];
	spec->interval_min_ns = event->arguments[3];
	spec->interval_max_ns = event->arguments[4];
	for (i = 0; i < WEIR_FEATURES; i++) {
		spec->clips[i][0] = event->arguments[5 + 2 * i];
		spec->clips[i][1] = event->arguments[6 + 2 * i];
	}
	return 0;
}

static __noinline int weir_event_end(struct weir_flow *flow, const struct weir_spec *spec, struct weir_event *event)
{
	struct weir_interval *mi;
	s64 *out;
	u32 i;

	if (!flow || !spec || !event)
		return 1;
	mi = &flow->interval;
	out = event->results;
	weir_interval_finish(mi, event->arguments[0], &flow->base, spec, &flow->report);
	weir_history_push(&flow->history, flow->report.features);
	for (i = 0; i < WEIR_FEATURES; i++)
		out[i] = flow->report.features[i];
	out[3] = flow->report.duration_ns;
	out[4] = flow->report.mean_rtt_ns;
	out[5] = mi->sent_bytes;
	out[6] = mi->acked_bytes;
	out[7] = mi->lost_bytes;
	out[8] = mi->rtt_samples;
	out[9] = flow->base.min_mean_ns;
	out[10] = flow->base.last_mean_ns;
	return 0;
}

static __noinline int weir_event_brake(struct weir_flow *flow, struct weir_event *event)
{
	struct weir_outcome seen;

	if (!flow || !event)
		return 1;
	seen.lost_bytes = event->arguments[0];
	seen.acked_bytes = event->arguments[1];
	seen.delivered_bytes = event->arguments[2];
	seen.duration_ns = event->arguments[3];
	seen.mean_rtt_ns = event->arguments[4];
	seen.held_bytes = event->arguments[5];
	weir_brake_observe(&flow->brake, &seen);
	event->results[0] = (u64)flow->brake.ceiling * 1000;
	return 0;
}

static __noinline int weir_event_longer(struct weir_flow *flow, struct weir_event *event)
{
	struct weir_base base;

	if (!flow || !event)
		return 1;
	base.min_mean_ns = event->arguments[4];
	base.last_mean_ns = event->arguments[0];
	weir_longer_observe(&flow->longer, &base, event->arguments[0], event->arguments[1], event->arguments[2],
			    event->arguments[3]);
	event->results[0] = base.min_mean_ns;
	return 0;
}

static long weir_event_step(u32 at, void *unused)
{
	struct weir_event *event = bpf_map_lookup_elem(&events, &at);
	struct weir_flow *flow = bpf_map_lookup_elem(&bench, &zero);
	struct weir_spec *spec = bpf_map_lookup_elem(&bench_spec, &zero);
	struct weir_interval *mi;
	u64 length;
	u32 i;

	if (!event || !flow || !spec)
		return 1;
	mi = &flow->interval;
	switch (event->kind) {
	case EVENT_SPEC:
		return weir_event_spec(spec, event);
	case EVENT_FLOW:
		flow->base.min_mean_ns = 0;
		flow->base.last_mean_ns = 0;
		weir_history_init(&flow->history);
		return 0;
	case EVENT_OPEN:
		length = weir_interval_ns(spec, &flow->base, event->arguments[1], event->arguments[2]);
		weir_interval_open(mi, event->arguments[0], length);
		event->results[0] = length;
		return 0;
	case EVENT_SEND:
		weir_on_send(mi, event->arguments[0], 1);
		return 0;
	case EVENT_ACK:
		weir_on_ack(mi, event->arguments[0]);
		if (!event->none)
			weir_on_rtt(mi, event->arguments[1]);
		return 0;
	case EVENT_LOSS:
		weir_on_loss(mi, event->arguments[0]);
		return 0;
	case EVENT_DUE:
		event->results[0] = weir_interval_due(mi, event->arguments[0], spec);
		return 0;
	case EVENT_END:
		return weir_event_end(flow, spec, event);
	case EVENT_INPUTS:
		weir_history_inputs(&flow->history, flow->work.features);
		for (i = 0; i < WEIR_INPUTS; i++)
			event->results[i] = flow->work.features[i];
		return 0;
	case EVENT_ACTION:
		event->results[0] = weir_apply_action(event->arguments[0], event->arguments[1]);
		return 0;
	case EVENT_BRAKE_BEGIN:
		__builtin_memset(&flow->brake, 0, sizeof(flow->brake));
		return 0;
	case EVENT_BRAKE:
		return weir_event_brake(flow, event);
	case EVENT_LONGER_BEGIN:
		__builtin_memset(&flow->longer, 0, sizeof(flow->longer));
		return 0;
	case EVENT_LONGER:
		return weir_event_longer(flow, event);
	}
	return 1;
}

/* The first `count` events in their order; returns how many it did. */
SEC("syscall")
int replay(struct weir_request *request)
{
	struct weir_flow *flow = bpf_map_lookup_elem(&bench, &zero);
	u32 count = request->count;

	if (!flow || count > EVENTS_MAX)
		return -1;
	weir_history_init(&flow->history);
	return bpf_loop(count, weir_event_step, NULL, 0);
}
