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

#include "weir_curves.h"
#include "weir_types.h"

#define WEIR_WIDTH_MAX 256
#define WEIR_LAYERS_MAX 8
/* Most outputs whose sums share a word: a layer writes whole words, so its results may need that much room less one. */
#define WEIR_LANES_MAX 4

/* As a file numbers them (section 1). */
enum weir_activation {
	WEIR_IDENTITY,
	WEIR_RELU,
	WEIR_LEAKY_RELU,
	WEIR_CLIP,
	WEIR_TANH,
	WEIR_SIGMOID,
	WEIR_HARD_SIGMOID,
};

enum weir_output_kind {
	WEIR_LINEAR,
	WEIR_SOFTMAX,
	WEIR_ARGMAX,
};

/* How a feature in Q16 becomes a quantised value. */
struct weir_input {
	s32 multiplier;
	s32 offset;
	s32 clip_lo;
	s32 clip_hi;
	u32 shift;
};

/*
 * What follows a sum. The sum stands in a lane of a word, moved up by half a lane: `shift` brings it down from there, and by
 * the snapshot's own shift in the same step; `mask` cuts off what lies above; `base` is half a lane after the shift. The
 * snapshot's bias and the rounding term of its shift are in the word from the start; a shift to the left is in the weights.
 */
struct weir_unit {
	u32 mask;
	u32 base;
	s16 multiplier;
	u8 shift;
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
 * Working memory of one inference: the values before and after a layer, and the last layer's in Q16. Two thousand bytes are
 * too many for a kernel's stack: the caller has one for each CPU.
 */
struct weir_scratch {
	s16 row[WEIR_WIDTH_MAX + WEIR_LANES_MAX];
	s16 next[WEIR_WIDTH_MAX + WEIR_LANES_MAX];
	s32 values[WEIR_WIDTH_MAX + WEIR_LANES_MAX];
};

/*
 * Several sums in one 64-bit word. Weights w0, w1, ... of as many outputs stand in a word 2^b apart, so that one multiply by
 * an input x adds w0 x, w1 x, ... to as many sums. A sum whose magnitude stays below 2^(b-1) starts at 2^(b-1), half a lane,
 * so it ends between 1 and 2^b - 1 and borrows nothing from its neighbour; what happens on the way does not matter, modulo
 * 2^64. Who packs weights proves the bound: |bias| + sum |w| * 128 (8-bit) or 2048 (12-bit), and the rounding term.
 */
#define WEIR_W2(a, b) ((a) + (b) * (1LL << 32))
#define WEIR_W3(a, b, c) ((a) + (b) * (1LL << 21) + (c) * (1LL << 42))
#define WEIR_W4(a, b, c, d) ((a) + (b) * (1LL << 16) + (c) * (1LL << 32) + (d) * (1LL << 48))

/* Where the sums of a word start: half a lane and the bias each. */
#define WEIR_S2(a, b) (0x8000000080000000ULL + WEIR_W2(a, b))
#define WEIR_S3(a, b, c) (((1ULL << 62) | (1ULL << 41) | (1ULL << 20)) + WEIR_W3(a, b, c))
#define WEIR_S4(a, b, c, d) (0x8000800080008000ULL + WEIR_W4(a, b, c, d))

/* Multiplies to a turn of the loop: all of a usual layer. Four cost a quarter more, as the end of a loop is hard to foresee. */
#if defined(__clang__)
#define WEIR_UNROLL _Pragma("clang loop unroll_count(32)")
#else
#define WEIR_UNROLL _Pragma("GCC unroll 32")
#endif

/* The sums of one word over n inputs. */
static inline __attribute__((__always_inline__)) u64 weir_sums(const s64 *words, const s16 *x, u32 n, u64 sums)
{
	u32 i;

	WEIR_UNROLL
	for (i = 0; i < n; i++)
		sums += (u64)words[i] * (u64)(s64)x[i];
	return sums;
}

/* The sums of two words, whose weights follow one another: each input is loaded once. */
static inline __attribute__((__always_inline__)) void weir_sums_two(const s64 *words, const s16 *x, u32 n, u64 *sums)
{
	u64 first = sums[0], second = sums[1];
	u32 i;

	WEIR_UNROLL
	for (i = 0; i < n; i++) {
		u64 value = (u64)(s64)x[i];

		first += (u64)words[i] * value;
		second += (u64)words[i + n] * value;
	}
	sums[0] = first;
	sums[1] = second;
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

/* A sum, shifted and rounded; of a last layer without an activation, the accumulator itself. */
static inline s32 weir_sum(u64 word, const struct weir_unit *unit)
{
	return (s32)(((u32)(word >> unit->shift) & unit->mask) - unit->base);
}

/* t, the argument of the activation */
static inline s32 weir_scaled(u64 word, const struct weir_unit *unit)
{
	return weir_mul_q15(weir_sat16(weir_sum(word, unit)), unit->multiplier);
}

/*
 * t * 2^15 and what is below, without the saturation of the sum. Right before a curve if the multiplier is at least 2^14: a
 * sum that would have saturated then leads to a t of at least 16383 in magnitude either way, where the curves are flat.
 */
static inline s64 weir_scaled_wide(u64 word, const struct weir_unit *unit)
{
	return (s64)weir_sum(word, unit) * unit->multiplier + (1 << 14);
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

/* The hidden curve of an 8-bit network, from t * 2^15; 127 = 1.0. */
static inline s32 weir_line(s64 t)
{
	s64 step = weir_clamp_wide(t >> 20, -512, 511);

	return ((s32)(t & 0xfffff) + weir_steps[step + 512]) >> 20;
}

/* 1024 times the parabola at t, from t * 2^15; 32512 * 1024 = 1.0. */
static inline s32 weir_parabola_wide(s64 t)
{
	s32 u = (s32)weir_clamp_wide((t >> 15) * 2, -32768, 32767);
	s32 g = (u & 2047) - 1024;
	const struct weir_parabola *p = &weir_parabolas[((u >> 11) + 16) & 31];

	return p->value + g * (p->slope + ((g * p->curvature + 512) >> 10));
}

/* The curve of a last layer, from t * 2^15; 32512 = 1.0. */
static inline s32 weir_parabola(s64 t)
{
	return weir_parabola_wide(t) >> 10;
}

/* The hidden curve of a 12-bit network, from t * 2^15; 2032 = 1.0. */
static inline s32 weir_parabola_hidden(s64 t)
{
	return (weir_parabola_wide(t) + (8 << 10)) >> 14;
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
