/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a network that chooses paths is shown of each, integer for integer as docs/features.md, section 13, defines it
 * (version 1); features/src/path.rs is the reference. A row here is not clipped: a snapshot's first step clips each input to
 * the bounds that its schema names (weir_quantise()).
 */
#ifndef WEIR_PATHS_H
#define WEIR_PATHS_H

#include "weir_sizes.h"

#define WEIR_PATH_INPUTS 11
/* What a path's bandwidth-delay product counts as at least. */
#define WEIR_BDP_MIN 1460
/* Stands for an age or a gap that there is none of: above every clip. */
#define WEIR_NEVER (~0ULL)

struct weir_path_signals {
	/* 0: unknown, as for the others. */
	u64 rtt_ns;
	/* The least of all paths'. */
	u64 base_rtt_ns;
	u64 in_flight;
	u64 sent_bps;
	u64 rate_bps;
	u64 sample_age_ns;
	s32 rtt_gradient;
	u32 ecn;
	u32 loss;
	bool is_current;
};

struct weir_flow_signals {
	/* Predicted, where there is a prediction. */
	u64 remaining;
	u64 sent;
	u64 gap_ns;
	u64 flowlet_ns;
	bool predicted;
};

static inline s32 weir_saturated(u64 magnitude)
{
	return (s32)weir_min(magnitude, 0x7fffffff);
}

static inline u64 weir_bdp(u64 rate_bps, u64 rtt_ns)
{
	u64 rate = weir_min(rate_bps, 1ULL << 40) / 8, rtt_us = weir_div(weir_min(rtt_ns, 1ULL << 36), 1000);

	return weir_max(weir_div(rate * weir_min(rtt_us, 1ULL << 26), 1000000), WEIR_BDP_MIN);
}

/* The row of one path: WEIR_PATH_INPUTS numbers. */
static inline void weir_path_row(u64 rtt_floor_ns, const struct weir_path_signals *path,
				 const struct weir_flow_signals *flow, s32 *row)
{
	u64 floor = weir_max(rtt_floor_ns, 1), ratio = WEIR_ONE;

	if (path->rtt_ns && path->base_rtt_ns)
		ratio = weir_ratio(weir_max(path->rtt_ns, floor), weir_max(path->base_rtt_ns, floor));
	row[0] = weir_saturated(ratio);
	/* The least number's magnitude does not fit. */
	row[1] = path->rtt_gradient < -0x7fffffff ? -0x7fffffff : path->rtt_gradient;
	row[2] = weir_saturated(path->ecn);
	row[3] = weir_saturated(path->loss);
	row[4] = path->rate_bps ? weir_saturated(weir_ratio(path->in_flight, weir_bdp(path->rate_bps, path->base_rtt_ns))) : 0;
	row[5] = path->rate_bps ? weir_saturated(weir_ratio(path->sent_bps, path->rate_bps)) : 0;
	row[6] = path->sample_age_ns == WEIR_NEVER ? 0x7fffffff :
		 weir_saturated(weir_log2(1 + weir_div(path->sample_age_ns, 1000)));
	row[7] = path->is_current ? WEIR_ONE : 0;
	row[8] = flow->predicted ? weir_log2_1p(flow->remaining) : 0;
	row[9] = weir_log2_1p(flow->sent);
	row[10] = flow->gap_ns == WEIR_NEVER ? 0x7fffffff : weir_saturated(weir_ratio(flow->gap_ns, flow->flowlet_ns));
}

#endif
