/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A snapshot as tables, and the program that runs any of them: what docs/snapshot-format.md defines, on the arithmetic that
 * the kernel module and emitted C share (weir_arith.h). Shapes are data, so one program that the verifier has seen once
 * serves every snapshot of the format: up to 256 inputs and outputs to a layer, up to 8 layers.
 *
 * The verifier walks a loop of C step by step; over bpf_loop() it walks the body once. So outputs are looped over by
 * bpf_loop(), and the inputs of one output, at most 16 blocks of 16, by a loop.
 */
#ifndef WEIR_NET_H
#define WEIR_NET_H

#include "weir_arith.h"
#include "weir_features.h"

#define WEIR_BLOCK 16
#define WEIR_BLOCKS_MAX (WEIR_WIDTH_MAX / WEIR_BLOCK)
#define WEIR_UNITS_MAX (WEIR_LAYERS_MAX * WEIR_WIDTH_MAX)
#define WEIR_WEIGHTS_MAX (WEIR_UNITS_MAX * WEIR_WIDTH_MAX)

/* What follows an accumulator; `bias` has the rounding term of a shift to the right in it. */
struct weir_net_unit {
	s32 bias;
	s16 multiplier;
	s8 shift;
};

/* Working memory of one inference. */
struct weir_work {
	s16 row[WEIR_WIDTH_MAX];
	s16 next[WEIR_WIDTH_MAX];
	s32 values[WEIR_WIDTH_MAX];
	s32 features[WEIR_WIDTH_MAX];
};

struct weir_layer {
	u32 outputs;
	/* Of 16 inputs each; the last is filled up with weights of 0. */
	u32 blocks;
	/* Of enum weir_activation; a sigmoid is written as the tanh, a hard one as the clip that it is. */
	u32 activation;
	s32 first;
	s32 second;
	/* Where its units and its weights begin. */
	u32 unit;
	u32 weight;
	u32 last;
};

/* Value of an inner map: src/net.rs writes it, field for field. */
struct weir_net {
	u64 schema_hash;
	u32 generation;
	u32 checksum;
	u32 inputs;
	/* Of the last layer; results are as many, or one with argmax. */
	u32 outputs;
	u32 layers;
	/* Of enum weir_output_kind. */
	u32 last;
	s32 value_lo;
	s32 value_hi;
	u32 bits8;
	u32 reserved;
	char name[32];
	struct weir_spec spec;
	struct weir_layer layer[WEIR_LAYERS_MAX];
	struct weir_input input[WEIR_WIDTH_MAX];
	struct weir_output output[WEIR_WIDTH_MAX];
	struct weir_net_unit unit[WEIR_UNITS_MAX];
	s16 weight[WEIR_WEIGHTS_MAX];
};

/* One layer of one inference under way. */
struct weir_pass {
	const struct weir_net *net;
	struct weir_work *work;
	const struct weir_layer *layer;
	s32 *out;
	u64 sum;
	s32 largest;
	u32 best;
};

/*
 * weir_line() for a t of 16 bits. The compiler knows the index to be in range and leaves the mask out, the verifier does not and
 * wants it: the barrier keeps the one from knowing.
 */
static __always_inline s32 weir_net_line(s32 t)
{
	u32 step = (u32)(weir_clamp(t >> 5, -512, 511) + 512);

	barrier_var(step);
	return ((s32)((u32)t << 15 & 0xfffff) + weir_steps[step & 1023]) >> 20;
}

static __always_inline s32 weir_activate(const struct weir_net *net, const struct weir_layer *layer, s32 t)
{
	s32 y = t;

	switch (layer->activation) {
	case WEIR_RELU:
		y = weir_relu(t, layer->first);
		break;
	case WEIR_LEAKY_RELU:
		y = weir_leaky_relu(t, layer->first, layer->second);
		break;
	case WEIR_CLIP:
		y = weir_clamp(t, layer->first, layer->second);
		break;
	case WEIR_TANH:
		/* The parabolas take t in 2^-15. */
		if (layer->last)
			return weir_parabola((s64)t * 32768);
		return net->bits8 ? weir_net_line(t) : weir_parabola_hidden((s64)t * 32768);
	}
	return layer->last ? y : weir_clamp(y, net->value_lo, net->value_hi);
}

/* An accumulator, bias and rounding term in it, to t, the argument of the activation. */
static __always_inline s32 weir_rescale(s32 acc, const struct weir_net_unit *unit)
{
	s32 r = unit->shift >= 0 ? acc >> unit->shift : (s32)((u32)acc << -unit->shift);

	return weir_mul_q15(weir_sat16(r), unit->multiplier);
}

/* Output `at` of a layer. */
static long weir_unit_step(u32 at, struct weir_pass *pass)
{
	const struct weir_net *net = pass->net;
	const struct weir_layer *layer = pass->layer;
	struct weir_work *work = pass->work;
	u32 blocks = layer->blocks;
	u32 from = layer->weight + at * blocks * WEIR_BLOCK;
	const struct weir_net_unit *unit = &net->unit[(layer->unit + at) & (WEIR_UNITS_MAX - 1)];
	s32 acc = unit->bias, y;
	u32 block, i;

	for (block = 0; block < WEIR_BLOCKS_MAX; block++) {
		const s16 *w, *x = &work->row[block * WEIR_BLOCK];

		if (block >= blocks)
			break;
		/* A block begins at a multiple of its size: masked, it ends within the array. */
		w = &net->weight[(from + block * WEIR_BLOCK) & (WEIR_WEIGHTS_MAX - WEIR_BLOCK)];
#pragma unroll
		for (i = 0; i < WEIR_BLOCK; i++)
			acc += w[i] * x[i];
	}
	at &= WEIR_WIDTH_MAX - 1;
	if (layer->last && layer->activation == WEIR_IDENTITY) {
		work->values[at] = weir_to_q16(&net->output[at], acc);
		return 0;
	}
	y = weir_activate(net, layer, weir_rescale(acc, unit));
	if (layer->last)
		work->values[at] = weir_to_q16(&net->output[at], y);
	else
		work->next[at] = (s16)y;
	return 0;
}

static long weir_quantise_step(u32 at, struct weir_pass *pass)
{
	const struct weir_net *net = pass->net;

	at &= WEIR_WIDTH_MAX - 1;
	pass->work->row[at] =
		weir_quantise(&net->input[at], pass->work->features[at], net->value_lo, net->value_hi);
	return 0;
}

static long weir_largest_step(u32 at, struct weir_pass *pass)
{
	s32 value;

	at &= WEIR_WIDTH_MAX - 1;
	value = pass->work->values[at];
	if (!at || value > pass->largest) {
		pass->largest = value;
		pass->best = at;
	}
	return 0;
}

static long weir_sum_step(u32 at, struct weir_pass *pass)
{
	pass->sum += weir_exponential(pass->largest, pass->work->values[at & (WEIR_WIDTH_MAX - 1)]);
	return 0;
}

static long weir_share_step(u32 at, struct weir_pass *pass)
{
	s32 *value = &pass->work->values[at & (WEIR_WIDTH_MAX - 1)];
	u64 sum = pass->sum;

	/* The largest value's term is 2^30. */
	if (sum)
		*value = (s32)weir_div((weir_exponential(pass->largest, *value) << 16) + (sum >> 1), sum);
	return 0;
}

/* work->features to work->values: the results in Q16, one with argmax. */
static __noinline int weir_infer(const struct weir_net *net, struct weir_work *work)
{
	struct weir_pass pass = { .net = net, .work = work };
	u32 at;

	if (!net || !work)
		return -1;
	bpf_loop(net->inputs, weir_quantise_step, &pass, 0);
	for (at = 0; at < WEIR_LAYERS_MAX; at++) {
		if (at >= net->layers)
			break;
		pass.layer = &net->layer[at];
		bpf_loop(net->layer[at].outputs, weir_unit_step, &pass, 0);
		__builtin_memcpy(work->row, work->next, WEIR_WIDTH_MAX * sizeof(s16));
	}
	if (net->last == WEIR_LINEAR)
		return 0;
	bpf_loop(net->outputs, weir_largest_step, &pass, 0);
	if (net->last == WEIR_ARGMAX) {
		work->values[0] = (s32)(pass.best * WEIR_ONE);
		return 0;
	}
	bpf_loop(net->outputs, weir_sum_step, &pass, 0);
	bpf_loop(net->outputs, weir_share_step, &pass, 0);
	return 0;
}

#endif
