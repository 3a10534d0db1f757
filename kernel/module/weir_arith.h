/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The arithmetic of a snapshot, integer for integer as docs/snapshot-format.md defines it (sections 2 to 4); the scalar
 * executor of snapshot/ is the reference, and kernel/emit's tests hold this text to it bit for bit.
 *
 * Rounding is half up everywhere: an addition and an arithmetic shift. A decoder has proven that no accumulator leaves
 * 32 bits (section 5), so sums may be formed modulo 2^32, in any order, with constants moved between them.
 */
#ifndef WEIR_ARITH_H
#define WEIR_ARITH_H

#include "weir_types.h"

#define WEIR_WIDTH_MAX 256
#define WEIR_LAYERS_MAX 8
/* Most outputs whose sums share a word: a layer writes whole words, so its results may need that much room less one. */
#define WEIR_LANES_MAX 4

/* How a feature in Q16 becomes a quantised value. */
struct weir_input {
	s32 multiplier;
	s32 offset;
	s32 clip_lo;
	s32 clip_hi;
	u32 shift;
};

/*
 * What follows an accumulator. `bias` is the snapshot's, plus the rounding term of `shift`, minus half a lane (see
 * WEIR_LANES_*): all three in one addition.
 */
struct weir_unit {
	u32 bias;
	s16 multiplier;
	s8 shift;
};

/* How a value of the last layer becomes a result in Q16. */
struct weir_output {
	s32 multiplier;
	s32 offset;
	s32 lo;
	s32 hi;
	u32 shift;
};

/*
 * Working memory of one inference: the values before and after a layer, and the last layer's in Q16. 3,104 bytes, too
 * many for a kernel's stack: the caller has one for each CPU.
 */
struct weir_scratch {
	s16 row[WEIR_WIDTH_MAX + WEIR_LANES_MAX];
	s16 next[WEIR_WIDTH_MAX + WEIR_LANES_MAX];
	s32 values[WEIR_WIDTH_MAX + WEIR_LANES_MAX];
	s32 features[WEIR_WIDTH_MAX];
};

/*
 * Several sums in one 64-bit word. Weights w0, w1, ... of as many outputs stand in a word 2^b apart, so that one multiply by
 * an input x adds w0 x, w1 x, ... to as many sums. A sum of magnitude below 2^(b-1) starts at 2^(b-1), half a lane, so
 * it ends between 1 and 2^b - 1 and borrows nothing from its neighbour; what happens on the way does not matter, modulo 2^64.
 * Who packs weights proves the bound from the weights: bound = sum |w| * 128 (8-bit) or 2048 (12-bit).
 */
#define WEIR_LANES_32 0x8000000080000000ULL
#define WEIR_LANES_21 ((1ULL << 62) | (1ULL << 41) | (1ULL << 20))
#define WEIR_LANES_16 0x8000800080008000ULL

#define WEIR_LANE_32(sums, lane) ((u32)((sums) >> (32 * (lane))))
#define WEIR_LANE_21(sums, lane) ((u32)((sums) >> (21 * (lane))) & 0x1fffff)
#define WEIR_LANE_16(sums, lane) ((u32)((sums) >> (16 * (lane))) & 0xffff)

/* A word of weights. */
#define WEIR_W2(a, b) ((a) + (b) * (1LL << 32))
#define WEIR_W3(a, b, c) ((a) + (b) * (1LL << 21) + (c) * (1LL << 42))
#define WEIR_W4(a, b, c, d) ((a) + (b) * (1LL << 16) + (c) * (1LL << 32) + (d) * (1LL << 48))

/* The sums of one word over n inputs. */
static inline u64 weir_sums(const s64 *words, const s16 *x, u32 n, u64 sums)
{
	u32 i;

	for (i = 0; i < n; i++)
		sums += (u64)words[i] * (u64)(s64)x[i];
	return sums;
}

static inline s32 weir_clamp(s32 x, s32 lo, s32 hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

static inline s64 weir_clamp_wide(s64 x, s64 lo, s64 hi)
{
	return x < lo ? lo : x > hi ? hi : x;
}

static inline s32 weir_sat16(s32 x)
{
	return weir_clamp(x, -32768, 32767);
}

static inline s32 weir_mul_q15(s32 a, s32 b)
{
	return (a * b + (1 << 14)) >> 15;
}

static inline s64 weir_round_shift_wide(s64 x, u32 shift)
{
	return (x + ((1LL << shift) >> 1)) >> shift;
}

/* x / 2^16 to the quantised value of its input, within value_lo .. value_hi. */
static inline s16 weir_quantise(const struct weir_input *in, s32 x, s32 value_lo, s32 value_hi)
{
	s64 centred = (s64)weir_clamp(x, in->clip_lo, in->clip_hi) - in->offset;

	return (s16)weir_clamp_wide(weir_round_shift_wide(centred * in->multiplier, in->shift), value_lo, value_hi);
}

/* An accumulator (less unit->bias) to t, the argument of the activation; unit->shift is not negative. */
static inline s32 weir_rescale_right(u32 acc, const struct weir_unit *unit)
{
	return weir_mul_q15(weir_sat16((s32)(acc + unit->bias) >> unit->shift), unit->multiplier);
}

/* The same for any shift. */
static inline s32 weir_rescale(u32 acc, const struct weir_unit *unit)
{
	if (unit->shift >= 0)
		return weir_rescale_right(acc, unit);
	return weir_mul_q15(weir_sat16((s32)((acc + unit->bias) << -unit->shift)), unit->multiplier);
}

static inline s32 weir_relu(s32 t, s32 zero)
{
	return t > zero ? t : zero;
}

static inline s32 weir_leaky_relu(s32 t, s32 zero, s32 slope)
{
	s32 d = weir_sat16(t - zero);

	return weir_sat16(zero + (d > 0 ? d : weir_mul_q15(d, slope)));
}

/* tanh by 64 lines over +-8, the argument in Q3.12: intercept and rise of each; 127 = 1.0. */
struct weir_line_segment {
	s16 intercept;
	s16 rise;
};

static const struct weir_line_segment weir_lines[64] __maybe_unused = {
	{ -4064, 0 }, { -4064, 0 }, { -4064, 0 }, { -4064, 0 }, { -4064, 0 }, { -4064, 0 },
	{ -4064, 0 }, { -4063, 1 }, { -4063, 1 }, { -4063, 2 }, { -4062, 3 }, { -4061, 5 },
	{ -4059, 8 }, { -4056, 13 }, { -4051, 21 }, { -4044, 34 }, { -4033, 57 }, { -4016, 93 },
	{ -3990, 153 }, { -3949, 253 }, { -3888, 416 }, { -3797, 682 }, { -3662, 1117 }, { -3464, 1820 },
	{ -3184, 2946 }, { -2799, 4711 }, { -2298, 7395 }, { -1695, 11274 }, { -1051, 16444 }, { -484, 22502 },
	{ -123, 28246 }, { -4, 31851 }, { 4, 31851 }, { 123, 28246 }, { 484, 22502 }, { 1051, 16444 },
	{ 1695, 11274 }, { 2298, 7395 }, { 2799, 4711 }, { 3184, 2946 }, { 3464, 1820 }, { 3662, 1117 },
	{ 3797, 682 }, { 3888, 416 }, { 3949, 253 }, { 3990, 153 }, { 4016, 93 }, { 4033, 57 },
	{ 4044, 34 }, { 4051, 21 }, { 4056, 13 }, { 4059, 8 }, { 4061, 5 }, { 4062, 3 },
	{ 4063, 2 }, { 4063, 1 }, { 4063, 1 }, { 4064, 0 }, { 4064, 0 }, { 4064, 0 },
	{ 4064, 0 }, { 4064, 0 }, { 4064, 0 }, { 4064, 0 },
};

static inline s32 weir_line(s32 t)
{
	const struct weir_line_segment *line = &weir_lines[((t >> 10) + 32) & 63];

	return (line->intercept + weir_mul_q15(t, line->rise) + 16) >> 5;
}

/* tanh by 32 parabolas over +-4, the argument in Q3.12: value, slope and curvature of each; 32512 = 1.0. */
struct weir_parabola_segment {
	s16 value;
	s16 slope;
	s16 curvature;
};

static const struct weir_parabola_segment weir_parabolas[32] __maybe_unused = {
	{ -32484, 7, 1 }, { -32466, 12, 1 }, { -32436, 19, 2 }, { -32387, 32, 4 },
	{ -32306, 52, 6 }, { -32173, 85, 10 }, { -31954, 139, 17 }, { -31598, 227, 27 },
	{ -31018, 367, 44 }, { -30085, 588, 68 }, { -28605, 923, 101 }, { -26312, 1407, 142 },
	{ -22885, 2054, 180 }, { -18031, 2813, 194 }, { -11651, 3534, 158 }, { -4043, 3986, 62 },
	{ 4043, 3986, -62 }, { 11651, 3534, -158 }, { 18031, 2813, -194 }, { 22885, 2054, -180 },
	{ 26312, 1407, -142 }, { 28605, 923, -101 }, { 30085, 588, -68 }, { 31018, 367, -44 },
	{ 31598, 227, -27 }, { 31954, 139, -17 }, { 32173, 85, -10 }, { 32306, 52, -6 },
	{ 32387, 32, -4 }, { 32436, 19, -2 }, { 32466, 12, -1 }, { 32484, 7, -1 },
};

static inline s32 weir_parabola(s32 t)
{
	s32 u = weir_sat16(2 * t);
	s32 g = ((u & 2047) - 1024) * 32;
	const struct weir_parabola_segment *p = &weir_parabolas[((u >> 11) + 16) & 31];

	return p->value + weir_mul_q15(g, p->slope + weir_mul_q15(g, p->curvature));
}

/* The hidden curve of a 12-bit network; 2032 = 1.0. */
static inline s32 weir_parabola_hidden(s32 t)
{
	return (weir_parabola(t) + 8) >> 4;
}

/* A value of the last layer to Q16. */
static inline s32 weir_to_q16(const struct weir_output *out, s32 z)
{
	s64 scaled = weir_round_shift_wide((s64)z * out->multiplier, out->shift);

	return (s32)weir_clamp_wide(scaled + out->offset, out->lo, out->hi);
}

static inline u32 weir_argmax(const s32 *values, u32 n)
{
	u32 best = 0, i;

	for (i = 1; i < n; i++)
		if (values[i] > values[best])
			best = i;
	return best;
}

/* 2^(30 - j/32) */
static const u32 weir_power[33] __maybe_unused = {
	1073741824, 1050733751, 1028218693, 1006186087, 984625594, 963527098,
	942880699, 922676710, 902905651, 883558244, 864625413, 846098274,
	827968132, 810226483, 792865000, 775875538, 759250125, 742980960,
	727060411, 711481005, 696235434, 681316545, 666717336, 652430958,
	638450708, 624770026, 611382493, 598281827, 585461881, 572916640,
	560640218, 548626854, 536870912,
};

/* exp(value - largest) in Q30. */
static inline u64 weir_exponential(s32 largest, s32 value)
{
	u64 x = ((u64)((s64)largest - value) * 94548) >> 16;
	u64 octaves = x >> 16, rest = x & 65535;
	u32 j = rest >> 11;

	if (octaves > 30)
		return 0;
	return (weir_power[j] - (((weir_power[j] - weir_power[j + 1]) * (rest & 2047)) >> 11)) >> octaves;
}

static inline void weir_softmax(const s32 *values, s32 *out, u32 n)
{
	s32 largest = values[weir_argmax(values, n)];
	u64 sum = 0;
	u32 i;

	for (i = 0; i < n; i++)
		sum += weir_exponential(largest, values[i]);
	/* The largest value's term is 2^30, so the sum is not 0. */
	for (i = 0; i < n; i++)
		out[i] = (s32)weir_div((weir_exponential(largest, values[i]) << 16) + (sum >> 1), sum);
}

#endif
