/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * When a flow's base RTT is no longer its path's (docs/features.md, section 15; features/src/longer.rs is the reference and says
 * why). The same text in the kernel module, in BPF and in user space.
 */
#ifndef WEIR_LONGER_H
#define WEIR_LONGER_H

#include "weir_features.h"

#define WEIR_LONGER_EPOCH_US 5000000U
#define WEIR_LONGER_INTERVALS 8

/* The open epoch. All zero in the beginning. */
struct weir_longer {
	u64 least_ns;
	u32 begun_kbps;
	u32 past_us;
	u32 intervals;
};

/*
 * Takes an ended interval that had an RTT into account, in which rate_bps held, of a flow that may have lowest_bps at least.
 * Says whether `base` was another path's, and has become this one's.
 */
static inline bool weir_longer_observe(struct weir_longer *longer, struct weir_base *base, u64 mean_ns, u64 duration_ns,
				       u64 rate_bps, u64 lowest_bps)
{
	u32 kbps = (u32)weir_max(weir_min(weir_div(rate_bps, 1000), 0xffffffff), 1);
	u64 base_ns = base->min_mean_ns;
	bool beyond, moved;

	if (!longer->begun_kbps)
		longer->begun_kbps = kbps;
	if (!longer->least_ns || mean_ns < longer->least_ns)
		longer->least_ns = mean_ns;
	longer->past_us = (u32)weir_min(longer->past_us + weir_div(duration_ns, 1000), 0xffffffff);
	if (longer->intervals < 0xffffffff)
		longer->intervals++;
	if (longer->past_us < WEIR_LONGER_EPOCH_US || longer->intervals < WEIR_LONGER_INTERVALS)
		return false;
	/* No mean is beyond 2^36 ns: no sum overflows. */
	beyond = longer->least_ns > base_ns + base_ns / 4;
	moved = beyond && (kbps <= longer->begun_kbps / 2 || rate_bps <= lowest_bps);
	if (moved)
		base->min_mean_ns = longer->least_ns;
	longer->least_ns = 0;
	if (!beyond || moved || kbps > longer->begun_kbps)
		longer->begun_kbps = kbps;
	longer->past_us = 0;
	longer->intervals = 0;
	return moved;
}

#endif
