/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The guard's brake (docs/features.md, section 11; features/src/brake.rs is the reference): a flow whose loss its own rate
 * explains may not raise that rate until the loss is gone. The same text in the kernel module, in BPF and in user space.
 */
#ifndef WEIR_BRAKE_H
#define WEIR_BRAKE_H

#include "weir_features.h"

/* Byte counts of an interval and times in ns stop here. */
#define WEIR_BRAKE_MAX (1ULL << 36)
/* Intervals of a round, rounds that a ceiling stands, rises after which it has doubled. */
#define WEIR_BRAKE_ROUND 12
#define WEIR_BRAKE_ROUNDS 4
#define WEIR_BRAKE_PROBED 12
/* Loss above what is tolerated, in 1/65536, that leads to a ceiling, and of how many of the newest eight intervals. */
#define WEIR_BRAKE_HOLD (1U << 13)
#define WEIR_BRAKE_HOLD_TIMES 3
/* The same while a ceiling is probed. */
#define WEIR_BRAKE_PROBE (1U << 12)
#define WEIR_BRAKE_PROBE_TIMES 2
/* Loss that calls for a lower ceiling, and how often it is lowered. */
#define WEIR_BRAKE_LOWER (1U << 11)
#define WEIR_BRAKE_LOWERED_MAX 2
/* More than this at random is not told from a flood. */
#define WEIR_BRAKE_TOLERATED_MAX (1U << 15)

/* All zero in the beginning. */
struct weir_brake {
	u64 lost;
	u64 acked;
	u64 delivered;
	u64 ns;
	/* Kilobits per second; 0 where there is none. */
	u32 ceiling;
	u32 cured;
	u32 wait_us;
	u16 at;
	u16 tolerated;
	u8 lossy;
	u8 age;
	u8 rounds;
	u8 lowered;
};

/* An ended interval that had an RTT. */
struct weir_outcome {
	u64 lost_bytes;
	u64 acked_bytes;
	/* The latter in whole frames. */
	u64 delivered_bytes;
	u64 duration_ns;
	u64 mean_rtt_ns;
	/* Frame bytes that wait in the flow's queue. */
	u32 held_bytes;
};

static inline u32 weir_u32(u64 value)
{
	return (u32)weir_min(value, 0xffffffff);
}

static inline u32 weir_ones(u8 bits)
{
	u32 count = bits;

	count = (count & 0x55) + (count >> 1 & 0x55);
	count = (count & 0x33) + (count >> 2 & 0x33);
	return (count & 0xf) + (count >> 4);
}

/* A 32nd below what gets through, so that the queue drains. */
static inline u32 weir_brake_less(u32 kbps)
{
	return kbps - kbps / 32;
}

/* Losses in 1/65536; no sum reaches 2^40. */
static inline u32 weir_brake_loss(const struct weir_brake *brake)
{
	u64 all = brake->lost + brake->acked;

	return all ? (u32)weir_div(brake->lost << 16, all) : 0;
}

static inline u32 weir_brake_through(const struct weir_brake *brake)
{
	return brake->ns ? weir_u32(weir_div(brake->delivered * 8000000, brake->ns)) : 0;
}

/* How much later than it is sent a loss is told of, at the ceiling: twice that, in us. */
static inline u32 weir_brake_late(const struct weir_brake *brake, const struct weir_outcome *seen)
{
	u64 held_us = weir_div((u64)seen->held_bytes * 8000, brake->ceiling ? brake->ceiling : 1);

	return weir_u32(2 * (held_us + weir_div(2 * weir_min(seen->mean_rtt_ns, WEIR_BRAKE_MAX), 1000)));
}

static inline void weir_brake_add(struct weir_brake *brake, const struct weir_outcome *seen)
{
	brake->lost += weir_min(seen->lost_bytes, WEIR_BRAKE_MAX);
	brake->acked += weir_min(seen->acked_bytes, WEIR_BRAKE_MAX);
	brake->delivered += weir_min(seen->delivered_bytes, WEIR_BRAKE_MAX);
	brake->ns += weir_min(seen->duration_ns, WEIR_BRAKE_MAX);
}

static inline void weir_brake_begin(struct weir_brake *brake)
{
	brake->lost = 0;
	brake->acked = 0;
	brake->delivered = 0;
	brake->ns = 0;
	brake->lossy = 0;
	brake->age = 0;
}

static inline void weir_brake_hold(struct weir_brake *brake, u32 ceiling, const struct weir_outcome *seen)
{
	brake->ceiling = ceiling ? ceiling : 1;
	brake->rounds = 0;
	weir_brake_begin(brake);
	brake->wait_us = weir_brake_late(brake, seen);
}

/* No ceiling any more; what is tolerated stays known. */
static inline void weir_brake_lift(struct weir_brake *brake)
{
	weir_brake_begin(brake);
	brake->ceiling = 0;
	brake->cured = 0;
	brake->wait_us = 0;
	brake->at = 0;
	brake->rounds = 0;
	brake->lowered = 0;
}

static inline void weir_brake_watch(struct weir_brake *brake, const struct weir_outcome *seen, u32 limit, u32 times)
{
	u32 loss, through;

	brake->lost -= brake->lost >> 3;
	brake->acked -= brake->acked >> 3;
	brake->delivered -= brake->delivered >> 3;
	brake->ns -= brake->ns >> 3;
	weir_brake_add(brake, seen);
	brake->lossy = (u8)(brake->lossy << 1 | (seen->lost_bytes > 0));
	loss = weir_brake_loss(brake);
	if (loss <= brake->tolerated + limit || weir_ones(brake->lossy) < times)
		return;
	brake->at = (u16)weir_min(loss, 0xffff);
	brake->lowered = 0;
	through = weir_brake_less(weir_brake_through(brake));
	weir_brake_hold(brake, through > brake->cured ? through : brake->cured, seen);
}

static inline void weir_brake_tolerate(struct weir_brake *brake, u32 loss)
{
	brake->tolerated = (u16)weir_min(loss, WEIR_BRAKE_TOLERATED_MAX);
}

/* Whether the loss went away. */
static inline void weir_brake_end_round(struct weir_brake *brake, const struct weir_outcome *seen)
{
	u32 loss = weir_brake_loss(brake), through = weir_brake_through(brake);
	bool still = loss > brake->tolerated + WEIR_BRAKE_LOWER;

	brake->rounds++;
	if (still && brake->lowered < WEIR_BRAKE_LOWERED_MAX) {
		brake->lowered++;
		weir_brake_hold(brake, weir_brake_less(through < brake->ceiling ? through : brake->ceiling), seen);
	} else if (still && loss > brake->at / 2U) {
		weir_brake_tolerate(brake, loss);
		weir_brake_lift(brake);
	} else {
		if (brake->rounds >= WEIR_BRAKE_ROUNDS) {
			weir_brake_tolerate(brake, loss);
			brake->cured = still ? 0 : brake->ceiling;
		}
		weir_brake_begin(brake);
	}
}

/* Takes an ended interval into account. */
static inline void weir_brake_observe(struct weir_brake *brake, const struct weir_outcome *seen)
{
	u32 past_us = weir_u32(weir_div(seen->duration_ns, 1000));

	brake->wait_us = brake->wait_us > past_us ? brake->wait_us - past_us : 0;
	if (!brake->ceiling) {
		weir_brake_watch(brake, seen, WEIR_BRAKE_HOLD, WEIR_BRAKE_HOLD_TIMES);
	} else if (brake->rounds < WEIR_BRAKE_ROUNDS) {
		if (brake->wait_us)
			return;
		brake->age++;
		weir_brake_add(brake, seen);
		if (brake->age >= WEIR_BRAKE_ROUND)
			weir_brake_end_round(brake, seen);
	} else {
		if (!brake->wait_us) {
			brake->age++;
			brake->ceiling = weir_u32((u64)brake->ceiling + (brake->ceiling + 15ULL) / 16);
			brake->wait_us = weir_brake_late(brake, seen) >> 2;
		}
		weir_brake_watch(brake, seen, WEIR_BRAKE_PROBE, WEIR_BRAKE_PROBE_TIMES);
		if (brake->rounds >= WEIR_BRAKE_ROUNDS && brake->age >= WEIR_BRAKE_PROBED)
			weir_brake_lift(brake);
	}
}

/* `rate_bps` within the ceiling, if there is one. */
static inline u64 weir_brake_limit(const struct weir_brake *brake, u64 rate_bps)
{
	return brake->ceiling ? weir_min(rate_bps, (u64)brake->ceiling * 1000) : rate_bps;
}

#endif
