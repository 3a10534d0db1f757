// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The paths that a new flow may take, and what is known of each: from the sockets of the flows on it, whenever they send. The
 * estimates are those of the worker (dataplane/engine/src/balance/path.rs): an eighth per RTT sample, a sixteenth per
 * acknowledgement with a mark, a thirty-second per report of a loss, CONGA's estimator for what was sent.
 */
#include <linux/bottom_half.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/spinlock.h>
#include "weir_select.h"

#define RTT_SHIFT 3
#define ECN_SHIFT 4
#define LOSS_SHIFT 5
/* Smallest RTTs and largest rates are kept for one to two of these. */
#define WINDOW_NS (10 * NSEC_PER_SEC)
/* CONGA's discounting estimator (Alizadeh et al., SIGCOMM 2014, section 3.2): a fifth is lost each 200 us; a mean over 1 ms. */
#define DRE_ALPHA 13107
#define DRE_PERIOD_NS (200 * NSEC_PER_USEC)
#define DRE_PERIODS_MAX 32
#define RTT_MAX_NS (1ULL << 36)
/* Scores that are less apart are one: 0.01, the default of balance.tie. */
#define TIE 655
/* The gap that makes a flowlet. A new flow has none, so it only has to be something. */
#define FLOWLET_NS (500 * NSEC_PER_USEC)

struct windowed {
	u64 values[2];
	u64 ends;
};

static struct select_path {
	spinlock_t lock;
	u32 mark;
	u32 ecn;
	u32 loss;
	s32 gradient;
	u64 srtt_ns;
	u64 sampled_ns;
	struct windowed base;
	struct windowed fastest;
	u64 dre_bytes;
	u64 dre_at;
	s64 in_flight;
	u64 flows;
} paths[SELECT_PATHS_MAX];

static u32 count;

static void roll(struct windowed *w, u64 now)
{
	if (now < w->ends)
		return;
	w->values[1] = now - w->ends >= WINDOW_NS ? 0 : w->values[0];
	w->values[0] = 0;
	w->ends = now + WINDOW_NS;
}

/* The smaller of two, where 0 stands for nothing seen. */
static u64 lesser(u64 a, u64 b)
{
	return a && b ? min(a, b) : a | b;
}

static u32 smoothed(u32 share, bool hit, u32 shift)
{
	return (u32)((s32)share + (((hit ? WEIR_ONE : 0) - (s32)share) >> shift));
}

/* 1/65536 of bytes */
static void discount(struct select_path *path, u64 now)
{
	u64 periods = div_u64(weir_since(now, path->dre_at), DRE_PERIOD_NS);

	if (periods > DRE_PERIODS_MAX) {
		path->dre_bytes = 0;
		path->dre_at = now;
		return;
	}
	path->dre_at += periods * DRE_PERIOD_NS;
	for (; periods; periods--)
		path->dre_bytes -= min((path->dre_bytes >> 16) * DRE_ALPHA, path->dre_bytes);
}

static u64 sent_bps(struct select_path *path, u64 now)
{
	discount(path, now);
	return (path->dre_bytes >> 16) * 8000;
}

void select_path_depart(u32 at, u32 bytes, s64 in_flight, u64 now)
{
	struct select_path *path = &paths[at];

	if (!count)
		return;
	spin_lock_bh(&path->lock);
	path->in_flight = max(path->in_flight + in_flight, 0LL);
	discount(path, now);
	path->dre_bytes = min(path->dre_bytes + ((u64)bytes << 16), 1ULL << 56);
	roll(&path->fastest, now);
	path->fastest.values[0] = max(path->fastest.values[0], sent_bps(path, now));
	spin_unlock_bh(&path->lock);
}

static void take_rtt(struct select_path *path, u64 rtt, u64 now)
{
	u64 before = path->srtt_ns;

	rtt = clamp(rtt, 1ULL, RTT_MAX_NS);
	roll(&path->base, now);
	path->base.values[0] = lesser(path->base.values[0], rtt);
	path->srtt_ns = before ? max(before - (before >> RTT_SHIFT) + (rtt >> RTT_SHIFT), 1ULL) : rtt;
	if (path->sampled_ns) {
		s64 time = (s64)clamp(weir_since(now, path->sampled_ns), 1ULL, RTT_MAX_NS);
		s64 rise = (s64)path->srtt_ns - (s64)before;
		s32 slope = (s32)clamp_t(s64, div64_s64(rise * WEIR_ONE, time), -WEIR_ONE, WEIR_ONE);

		path->gradient += (slope - path->gradient) >> RTT_SHIFT;
	}
	path->sampled_ns = now;
}

void select_path_feedback(u32 at, const struct select_feedback *feedback, u64 now)
{
	struct select_path *path = &paths[at];

	spin_lock_bh(&path->lock);
	if (feedback->rtt_ns)
		take_rtt(path, feedback->rtt_ns, now);
	path->ecn = smoothed(path->ecn, feedback->marked, ECN_SHIFT);
	path->loss = smoothed(path->loss, feedback->lost, LOSS_SHIFT);
	spin_unlock_bh(&path->lock);
}

static void signals_of(struct select_path *path, u64 now, struct weir_path_signals *signals)
{
	spin_lock_bh(&path->lock);
	*signals = (struct weir_path_signals) {
		.rtt_ns = path->srtt_ns,
		/* Its own, until all are known. */
		.base_rtt_ns = lesser(path->base.values[0], path->base.values[1]),
		.in_flight = (u64)path->in_flight,
		.sent_bps = sent_bps(path, now),
		.rate_bps = max(path->fastest.values[0], path->fastest.values[1]),
		.sample_age_ns = path->sampled_ns ? weir_since(now, path->sampled_ns) : WEIR_NEVER,
		.rtt_gradient = path->gradient,
		.ecn = path->ecn,
		.loss = path->loss,
	};
	spin_unlock_bh(&path->lock);
}

u32 select_path_of(u64 key)
{
	return reciprocal_scale((u32)(key >> 32), max(count, 1U));
}

/* The least score wins; among those that are one, the flow's own draw. False where no generation is live. */
static bool by_scores(u64 key, u64 now, u32 *chosen)
{
	struct weir_flow_signals flow = { .gap_ns = WEIR_NEVER, .flowlet_ns = FLOWLET_NS };
	struct weir_path_signals signals[SELECT_PATHS_MAX];
	s32 scores[SELECT_PATHS_MAX], row[WEIR_PATH_INPUTS], least = S32_MAX;
	struct weir_binding active;
	u32 at, tied = 0, draw;
	u64 base = 0;

	if (!weir_bind(WEIR_BALANCE, &active))
		return false;
	for (at = 0; at < count; at++) {
		signals_of(&paths[at], now, &signals[at]);
		base = lesser(base, signals[at].base_rtt_ns);
	}
	for (at = 0; at < count; at++) {
		signals[at].base_rtt_ns = base;
		weir_path_row(active.spec.rtt_floor_ns, &signals[at], &flow, row);
		if (!weir_query(WEIR_BALANCE, active.generation, row, &scores[at]))
			return false;
		least = min(least, scores[at]);
	}
	for (at = 0; at < count; at++)
		tied += (s64)scores[at] - least <= TIE;
	draw = reciprocal_scale((u32)(key >> 32), tied);
	for (at = 0; at < count; at++)
		if ((s64)scores[at] - least <= TIE && !draw--)
			break;
	*chosen = min(at, count - 1);
	return true;
}

u32 select_path_choose(u64 key, u64 now)
{
	bool control = select_control(key);
	u32 chosen = select_path_of(key);

	if (control)
		weir_count(select_paths_control);
	else if (by_scores(key, now, &chosen))
		weir_count(select_paths_model);
	else
		weir_count(select_paths_rule);
	spin_lock_bh(&paths[chosen].lock);
	paths[chosen].flows++;
	spin_unlock_bh(&paths[chosen].lock);
	return chosen;
}

void select_paths_show(struct seq_file *file)
{
	u32 at;

	for (at = 0; at < count; at++) {
		struct weir_path_signals signals;

		signals_of(&paths[at], ktime_get_ns(), &signals);
		seq_printf(file, "path %u mark %u flows %llu rtt_us %llu base_us %llu ecn %u loss %u in_flight %llu sent_bps %llu\n", at,
			   paths[at].mark, paths[at].flows, div_u64(signals.rtt_ns, NSEC_PER_USEC),
			   div_u64(signals.base_rtt_ns, NSEC_PER_USEC), signals.ecn, signals.loss, signals.in_flight,
			   signals.sent_bps);
	}
}

u32 select_paths_count(void)
{
	return count;
}

u32 select_path_mark(u32 path)
{
	return paths[path].mark;
}

void select_paths_init(const u32 *marks, u32 how_many)
{
	u32 at;

	count = how_many;
	for (at = 0; at < count; at++) {
		spin_lock_init(&paths[at].lock);
		paths[at].mark = marks[at];
	}
}
