/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a pacing network is shown, integer for integer as docs/features.md defines it (version 1); features/ is the
 * reference, and kernel/emit's tests hold this text to the shared traces. The same text serves the kernel module and, after
 * vmlinux.h, a BPF program: no signed and no 128-bit division, no loop without a bound, no index that is not masked.
 *
 * Order of use, for each flow: weir_interval_ns() gives the length of the next interval, weir_interval_open() begins it,
 * weir_on_send(), weir_on_ack() and weir_on_loss() record it; once weir_interval_due(), weir_interval_finish() gives the
 * features, weir_history_push() keeps them and weir_history_inputs() lays out the network's inputs; weir_apply_action()
 * turns its answer into the next rate.
 */
#ifndef WEIR_FEATURES_H
#define WEIR_FEATURES_H

#include "weir_types.h"

#define WEIR_FEATURES 3
#define WEIR_HISTORY 10
#define WEIR_INPUTS (WEIR_FEATURES * WEIR_HISTORY)
#define WEIR_ONE 65536
/* A longer RTT counts as this (68.7 s). */
#define WEIR_RTT_MAX_NS ((1ULL << 36) - 1)
/* RTT samples beyond this many are ignored: the sum of all stays below 2^63. */
#define WEIR_SAMPLES_MAX (1U << 27)
/* Byte counts of an interval stop here: 16 bits more still fit. */
#define WEIR_BYTES_MAX ((1ULL << 47) - 1)
/* Bit/s; keeps the products of weir_apply_action() below 2^64. */
#define WEIR_RATE_MAX (1ULL << 50)
/* The guard's bound on one action: 10, which changes a rate by a quarter. */
#define WEIR_ACTION_MAX (10 * WEIR_ONE)
#define WEIR_BUCKETS 8

/* The parameters of the definitions; they are part of the schema hash. */
struct weir_spec {
	u64 rtt_floor_ns;
	u64 interval_min_ns;
	u64 interval_max_ns;
	u32 interval_rtt_q8;
	u32 interval_packets_min;
	/* Lowest and highest value of each feature, in 1/65536. */
	s32 clips[WEIR_FEATURES][2];
};

/* docs/features.md's defaults, but for the clips: of a struct weir_spec, or of a struct weir_rule (weir_uapi.h). */
#define WEIR_RULE_DEFAULTS							\
	.rtt_floor_ns = 100000,							\
	.interval_min_ns = 100000,						\
	.interval_max_ns = 1000000000,						\
	.interval_rtt_q8 = 128,							\
	.interval_packets_min = 16

/* One monitor interval of one flow. */
struct weir_interval {
	u64 start_ns;
	u64 end_ns;
	u64 sent_bytes;
	u64 acked_bytes;
	u64 lost_bytes;
	u32 sent_packets;
	u32 rtt_samples;
	/* Sums over consecutive samples, the same number in each bucket. */
	u64 rtt_sums[WEIR_BUCKETS];
};

/* Smallest and last mean RTT of any interval of the flow; 0 before the first. */
struct weir_base {
	u64 min_mean_ns;
	u64 last_mean_ns;
};

struct weir_report {
	s32 features[WEIR_FEATURES];
	u64 duration_ns;
	/* 0 without samples; a mean is at least 1. */
	u64 mean_rtt_ns;
};

struct weir_history {
	s32 rows[WEIR_HISTORY][WEIR_FEATURES];
	u32 oldest;
};

static inline u64 weir_min(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 weir_max(u64 a, u64 b)
{
	return a > b ? a : b;
}

/* a - b, or 0 where a clock stepped back. */
static inline u64 weir_since(u64 a, u64 b)
{
	return a > b ? a - b : 0;
}

/* sum / count to the nearest, ties up; count is not 0. */
static inline u64 weir_mean(u64 sum, u64 count)
{
	return weir_div(sum + count / 2, count);
}

/* num / den in 1/65536, to the nearest, ties up. */
static inline u64 weir_ratio(u64 num, u64 den)
{
	den = weir_max(den, 1);
	return weir_div((weir_min(num, WEIR_BYTES_MAX) << 16) + den / 2, den);
}

/* Where lo > hi, hi wins. */
static inline s32 weir_clip(u64 magnitude, bool negative, const s32 *clip)
{
	s32 value = (s32)weir_min(magnitude, 0x7fffffff);

	if (negative)
		value = -value;
	value = value > clip[0] ? value : clip[0];
	return value < clip[1] ? value : clip[1];
}

/* Binary digits of x, 0 to 32, by halving: BPF has no instruction for it. */
static inline u32 weir_bits(u32 x)
{
	u32 bits = 0;

	if (x >> 16) {
		bits += 16;
		x >>= 16;
	}
	if (x >> 8) {
		bits += 8;
		x >>= 8;
	}
	if (x >> 4) {
		bits += 4;
		x >>= 4;
	}
	if (x >> 2) {
		bits += 2;
		x >>= 2;
	}
	return bits + (x >> 1 ? 2 : x);
}

/* log2 of the samples of a bucket once the sample with this index (from 0) is in. */
static inline u32 weir_bucket_shift(u32 index)
{
	u32 bits = weir_bits(index);

	return bits > 3 ? bits - 3 : 0;
}

/* The length of an interval that begins now, for packets of packet_bytes on the wire. */
static inline u64 weir_interval_ns(const struct weir_spec *spec, const struct weir_base *base, u64 rate_bps,
				   u32 packet_bytes)
{
	u64 of_rtt = (weir_min(base->last_mean_ns, WEIR_RTT_MAX_NS) * spec->interval_rtt_q8) >> 8;
	u64 bits = (u64)spec->interval_packets_min * weir_min(packet_bytes, 0xffff) * 8;
	u64 of_packets = rate_bps ? weir_div(bits * 1000000000ULL, rate_bps) : ~0ULL;

	return weir_min(weir_max(weir_max(of_rtt, of_packets), spec->interval_min_ns), spec->interval_max_ns);
}

static inline void weir_interval_open(struct weir_interval *mi, u64 now_ns, u64 length_ns)
{
	u32 i;

	mi->start_ns = now_ns;
	mi->end_ns = now_ns + length_ns < now_ns ? ~0ULL : now_ns + length_ns;
	mi->sent_bytes = 0;
	mi->acked_bytes = 0;
	mi->lost_bytes = 0;
	mi->sent_packets = 0;
	mi->rtt_samples = 0;
	for (i = 0; i < WEIR_BUCKETS; i++)
		mi->rtt_sums[i] = 0;
}

static inline void weir_on_send(struct weir_interval *mi, u32 bytes, u32 packets)
{
	mi->sent_bytes = weir_min(mi->sent_bytes + bytes, WEIR_BYTES_MAX);
	mi->sent_packets = (u32)weir_min((u64)mi->sent_packets + packets, 0xffffffff);
}

static inline void weir_on_loss(struct weir_interval *mi, u32 bytes)
{
	mi->lost_bytes = weir_min(mi->lost_bytes + bytes, WEIR_BYTES_MAX);
}

static inline void weir_on_rtt(struct weir_interval *mi, u64 rtt_ns)
{
	u32 index = mi->rtt_samples, i;

	if (index >= WEIR_SAMPLES_MAX)
		return;
	if (index >= WEIR_BUCKETS && !(index & (index - 1))) {
		/* Eight full buckets become four of twice the size. */
		for (i = 0; i < WEIR_BUCKETS / 2; i++)
			mi->rtt_sums[i] = mi->rtt_sums[2 * i] + mi->rtt_sums[2 * i + 1];
		for (; i < WEIR_BUCKETS; i++)
			mi->rtt_sums[i] = 0;
	}
	mi->rtt_sums[(index >> weir_bucket_shift(index)) & (WEIR_BUCKETS - 1)] +=
		weir_min(weir_max(rtt_ns, 1), WEIR_RTT_MAX_NS);
	mi->rtt_samples = index + 1;
}

/* An acknowledgement of `bytes` not acknowledged before; its RTT goes to weir_on_rtt(), if it gave one. */
static inline void weir_on_ack(struct weir_interval *mi, u32 bytes)
{
	mi->acked_bytes = weir_min(mi->acked_bytes + bytes, WEIR_BYTES_MAX);
}

static inline bool weir_interval_due(const struct weir_interval *mi, u64 now_ns, const struct weir_spec *spec)
{
	return now_ns >= mi->end_ns &&
	       (mi->rtt_samples > 0 || weir_since(now_ns, mi->start_ns) >= spec->interval_max_ns);
}

/* The features of what has happened up to now_ns. Changes nothing but `base`. */
static inline void weir_interval_finish(const struct weir_interval *mi, u64 now_ns, struct weir_base *base,
					const struct weir_spec *spec, struct weir_report *report)
{
	u64 duration = weir_since(now_ns, mi->start_ns);
	u64 floor = weir_min(weir_max(spec->rtt_floor_ns, 1), WEIR_RTT_MAX_NS);
	u32 samples = mi->rtt_samples, shift = weir_bucket_shift(samples ? samples - 1 : 0);
	/* The bucket edge nearest to the middle, ties to the later one. */
	u32 edge = (samples / 2 + ((1U << shift) >> 1)) >> shift;
	u64 earlier_samples = (u64)edge << shift, later_samples = weir_since(samples, earlier_samples);
	u64 earlier = 0, later = 0, rise = 0, ratio = WEIR_ONE, packet, received;
	bool falling = false;
	u32 i;

	for (i = 0; i < WEIR_BUCKETS; i++) {
		if (i < edge)
			earlier += mi->rtt_sums[i];
		else
			later += mi->rtt_sums[i];
	}
	report->duration_ns = duration;
	report->mean_rtt_ns = 0;
	if (samples) {
		report->mean_rtt_ns = weir_mean(earlier + later, samples);
		base->last_mean_ns = report->mean_rtt_ns;
		if (!base->min_mean_ns || report->mean_rtt_ns < base->min_mean_ns)
			base->min_mean_ns = report->mean_rtt_ns;
		ratio = weir_ratio(weir_max(report->mean_rtt_ns, floor), weir_max(base->min_mean_ns, floor));
	}
	if (earlier_samples && later_samples) {
		earlier = weir_mean(earlier, earlier_samples);
		later = weir_mean(later, later_samples);
		falling = later < earlier;
		rise = falling ? earlier - later : later - earlier;
	}
	report->features[0] = weir_clip(weir_ratio(rise, weir_max(duration, floor)), falling, spec->clips[0]);
	report->features[1] = weir_clip(ratio, false, spec->clips[1]);

	/* n acknowledgements span n - 1 gaps: one packet, the interval's mean one, is left out. */
	packet = mi->sent_packets ? weir_div(mi->sent_bytes, mi->sent_packets) : 0;
	received = weir_since(mi->acked_bytes, packet);
	/* A thousandfold ratio says that feedback is missing. */
	if (!duration || !received || mi->sent_bytes >= 1000 * received)
		ratio = WEIR_ONE;
	else
		ratio = weir_ratio(mi->sent_bytes, received);
	report->features[2] = weir_clip(ratio, false, spec->clips[2]);
}

static inline void weir_history_init(struct weir_history *history)
{
	u32 i;

	for (i = 0; i < WEIR_HISTORY; i++) {
		history->rows[i][0] = 0;
		history->rows[i][1] = WEIR_ONE;
		history->rows[i][2] = WEIR_ONE;
	}
	history->oldest = 0;
}

static inline void weir_history_push(struct weir_history *history, const s32 *row)
{
	u32 at = history->oldest, i;

	if (at >= WEIR_HISTORY)
		at = 0;
	for (i = 0; i < WEIR_FEATURES; i++)
		history->rows[at][i] = row[i];
	history->oldest = at + 1 < WEIR_HISTORY ? at + 1 : 0;
}

/* The network's inputs: WEIR_INPUTS numbers, rows oldest first. */
static inline void weir_history_inputs(const struct weir_history *history, s32 *inputs)
{
	u32 at = history->oldest, i, j;

	for (i = 0; i < WEIR_HISTORY; i++, at++) {
		if (at >= WEIR_HISTORY)
			at = 0;
		for (j = 0; j < WEIR_FEATURES; j++)
			inputs[i * WEIR_FEATURES + j] = history->rows[at][j];
	}
}

/* rate x p / q, to the nearest, ties up. */
static inline u64 weir_scale(u64 rate, u64 p, u64 q)
{
	u64 whole = weir_div(rate, q);

	return whole * p + weir_div((rate - whole * q) * p + q / 2, q);
}

/* The rate after an action in 1/65536: x (1 + |a|/40) where a >= 0, / (1 + |a|/40) where a < 0. */
static inline u64 weir_apply_action(u64 rate_bps, s32 action)
{
	const u64 unit = 40ULL << 16;
	u64 stretched = unit + (action < 0 ? 0 - (u64)(s64)action : (u64)action);
	u64 rate = weir_min(rate_bps, WEIR_RATE_MAX);

	rate = action >= 0 ? weir_scale(rate, stretched, unit) : weir_scale(rate, unit, stretched);
	return weir_min(rate, WEIR_RATE_MAX);
}

#endif
