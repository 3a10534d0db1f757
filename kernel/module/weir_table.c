// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The decoder of snapshot files (docs/snapshot-format.md, sections 1 and 5). The first pass proves everything that the
 * executor relies on: lengths, ranges, that layers chain, that no input can overflow a sum. The second one packs.
 */
#include "weir_table.h"

#if defined(__KERNEL__)
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/string.h>
#else
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define kvzalloc(size, flags) calloc(1, size)
#define kvfree(pointer) free(pointer)
#define EXPORT_SYMBOL_GPL(name) extern int name##_exported
#endif

#define HEAD_BYTES 60
#define RECORD_BYTES 20
#define LAYER_HEAD_BYTES 10
#define CHECKSUM_BYTES 4

/* Where the parts of a layer are. */
struct place {
	u32 inputs, outputs, activation;
	s32 first, second;
	u32 lanes;
	bool wide;
	const u8 *shift, *multiplier, *bias, *weights;
};

struct layout {
	u32 function, precision, output, layer_count, inputs, values;
	const u8 *input, *last;
	struct place layers[WEIR_LAYERS_MAX];
};

struct reader {
	const u8 *start, *at, *end;
	struct weir_fault *fault;
};

static u32 get16(const u8 *at)
{
	return (u32)at[0] | (u32)at[1] << 8;
}

static u32 get32(const u8 *at)
{
	return get16(at) | get16(at + 2) << 16;
}

static u64 get64(const u8 *at)
{
	return get32(at) | (u64)get32(at + 4) << 32;
}

/* CRC-32C: reflected polynomial 0x82F63B78, preset to ones, inverted. */
static u32 crc32c_of(const u8 *at, size_t length)
{
	u32 crc = ~0U, bit;

	while (length--) {
		crc ^= *at++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
	}
	return ~crc;
}

static bool refuse(struct reader *r, const u8 *at, const char *why)
{
	r->fault->why = why;
	r->fault->at = (u32)(at - r->start);
	return false;
}

static bool fits(struct reader *r, size_t bytes, const char *why)
{
	return (size_t)(r->end - r->at) >= bytes ? true : refuse(r, r->at, why);
}

static bool within(struct reader *r, const u8 *at, s64 value, s64 lo, s64 hi, const char *why)
{
	return lo <= value && value <= hi ? true : refuse(r, at, why);
}

static s32 weight_of(const struct place *p, u32 precision, u32 index)
{
	return precision == 8 ? (s8)p->weights[index] : (s16)get16(p->weights + 2 * index);
}

/* How far a negative shift moves an output to the left. */
static u32 lift_of(const struct place *p, u32 output)
{
	s8 shift = (s8)p->shift[output];

	return shift < 0 ? (u32)-shift : 0;
}

static s32 rounding_of(const struct place *p, u32 output)
{
	s8 shift = (s8)p->shift[output];

	return shift > 0 ? 1 << (shift - 1) : 0;
}

static bool check_activation(struct reader *r, struct place *p, u32 precision, bool last)
{
	const u8 *at = r->at;
	/* A hidden layer narrows to the value range, so bounds beyond it would mean nothing. */
	s32 max = last ? 32767 : precision == 8 ? 127 : 2047, min = -max - 1;
	s32 first_lo = 0, first_hi = 0, second_lo = 0, second_hi = 0;

	p->activation = get16(at + 4);
	p->first = (s16)get16(at + 6);
	p->second = (s16)get16(at + 8);
	if (!within(r, at + 4, p->activation, WEIR_IDENTITY, WEIR_HARD_SIGMOID, "activation"))
		return false;
	switch (p->activation) {
	case WEIR_RELU:
	case WEIR_LEAKY_RELU:
		first_lo = min;
		first_hi = max;
		second_hi = p->activation == WEIR_LEAKY_RELU ? 32767 : 0;
		break;
	case WEIR_CLIP:
	case WEIR_HARD_SIGMOID:
		first_lo = min;
		first_hi = max;
		second_lo = p->first;
		second_hi = max;
		break;
	}
	return within(r, at + 6, p->first, first_lo, first_hi, "the activation's first number") &&
	       within(r, at + 8, p->second, second_lo, second_hi, "the activation's second number");
}

/* Proves that no input can overflow the sums, bias and rounding term included, and counts the lanes that they need. */
static bool check_sums(struct reader *r, struct place *p, u32 precision)
{
	u64 value_max = precision == 8 ? 128 : 2048, bound = 0;
	s32 weight_max = precision == 8 ? 127 : 2047;
	u32 output, i;

	for (output = 0; output < p->outputs; output++) {
		s64 bias = (s32)get32(p->bias + 4 * output);
		u64 sum = 0;

		for (i = 0; i < p->inputs; i++) {
			s32 weight = weight_of(p, precision, output * p->inputs + i);

			if (!within(r, p->weights, weight, -weight_max, weight_max, "weights"))
				return false;
			sum += (u64)(weight < 0 ? -weight : weight);
		}
		sum = ((u64)(bias < 0 ? -bias : bias) + sum * value_max) << lift_of(p, output);
		sum += (u64)rounding_of(p, output);
		if (sum > 0x7fffffff)
			return refuse(r, p->bias + 4 * output, "an accumulator could overflow");
		bound = bound > sum ? bound : sum;
	}
	p->lanes = bound < 1 << 15 ? 4 : bound < 1 << 20 ? 3 : 2;
	return true;
}

static bool check_layer(struct reader *r, struct place *p, u32 precision, u32 expected, bool last)
{
	u32 weight_bytes = precision == 8 ? 1 : 2, i;
	bool unread;

	if (!fits(r, LAYER_HEAD_BYTES, "too short for a layer"))
		return false;
	p->inputs = get16(r->at);
	p->outputs = get16(r->at + 2);
	if (!within(r, r->at, p->inputs, 1, WEIR_WIDTH_MAX, "a layer's inputs") ||
	    !within(r, r->at + 2, p->outputs, 1, WEIR_WIDTH_MAX, "a layer's outputs") ||
	    !within(r, r->at, p->inputs, expected, expected, "a layer that does not chain") ||
	    !check_activation(r, p, precision, last))
		return false;
	r->at += LAYER_HEAD_BYTES;
	if (!fits(r, (size_t)p->outputs * (7 + weight_bytes * p->inputs), "too short for a layer's numbers"))
		return false;
	p->shift = r->at;
	p->multiplier = p->shift + p->outputs;
	p->bias = p->multiplier + 2 * p->outputs;
	p->weights = p->bias + 4 * p->outputs;
	r->at = p->weights + weight_bytes * p->inputs * p->outputs;

	/* The accumulator of a last layer without activation goes to the output stage as it is. */
	unread = last && p->activation == WEIR_IDENTITY;
	p->wide = true;
	for (i = 0; i < p->outputs; i++) {
		s32 multiplier = (s16)get16(p->multiplier + 2 * i);

		if (!within(r, p->shift + i, (s8)p->shift[i], unread ? 0 : -8, unread ? 0 : 30, "a layer's shift") ||
		    !within(r, p->multiplier + 2 * i, multiplier, 0, unread ? 0 : 32767, "a layer's multiplier"))
			return false;
		if (multiplier < 1 << 14)
			p->wide = false;
	}
	return check_sums(r, p, precision);
}

static bool check_head(struct reader *r, struct layout *l)
{
	const u8 *start = r->start;
	u32 i, used;

	l->function = start[10];
	l->precision = start[11];
	l->output = start[12];
	l->layer_count = start[13];
	l->inputs = get16(start + 14);
	if (!within(r, start + 10, l->function, 0, 2, "function") ||
	    (l->precision != 8 && !within(r, start + 11, l->precision, 12, 12, "precision")) ||
	    !within(r, start + 12, l->output, WEIR_LINEAR, WEIR_ARGMAX, "output") ||
	    !within(r, start + 13, l->layer_count, 1, WEIR_LAYERS_MAX, "layer_count") ||
	    !within(r, start + 14, l->inputs, 1, WEIR_WIDTH_MAX, "input_count"))
		return false;
	for (used = 0; used < WEIR_NAME_MAX && start[28 + used]; used++)
		;
	for (i = 0; i < WEIR_NAME_MAX; i++) {
		bool text = i < (used ? used : 1);

		if (!within(r, start + 28 + i, start[28 + i], text ? 0x20 : 0, text ? 0x7e : 0, "name"))
			return false;
	}
	return true;
}

static bool check_records(struct reader *r, struct layout *l)
{
	u32 i, width = l->inputs;

	l->input = r->at;
	if (!fits(r, (size_t)RECORD_BYTES * l->inputs, "too short for the inputs"))
		return false;
	for (i = 0; i < l->inputs; i++, r->at += RECORD_BYTES) {
		s32 clip_lo = (s32)get32(r->at + 8), clip_hi = (s32)get32(r->at + 12);

		if (!within(r, r->at, (s32)get32(r->at), -(1 << 30), 1 << 30, "an input's multiplier") ||
		    !within(r, r->at + 12, clip_hi, clip_lo, 0x7fffffff, "an input's clip_hi") ||
		    !within(r, r->at + 16, get32(r->at + 16), 0, 62, "an input's shift"))
			return false;
	}
	for (i = 0; i < l->layer_count; i++) {
		if (!check_layer(r, &l->layers[i], l->precision, width, i + 1 == l->layer_count))
			return false;
		width = l->layers[i].outputs;
	}
	l->values = width;
	l->last = r->at;
	if (!fits(r, (size_t)RECORD_BYTES * width, "too short for the outputs"))
		return false;
	for (i = 0; i < width; i++, r->at += RECORD_BYTES) {
		s32 lo = (s32)get32(r->at + 12), hi = (s32)get32(r->at + 16);

		if (!within(r, r->at, (s32)get32(r->at), 0, 0x7fffffff, "an output's multiplier") ||
		    !within(r, r->at + 4, get32(r->at + 4), 0, 62, "an output's shift") ||
		    !within(r, r->at + 16, hi, lo, 0x7fffffff, "an output's hi"))
			return false;
	}
	return r->at == r->end ? true : refuse(r, r->at, "bytes behind the last record");
}

static bool check(struct reader *r, size_t length, struct layout *l)
{
	const u8 *start = r->start;

	if (length > WEIR_FILE_MAX)
		return refuse(r, start, "longer than any snapshot");
	if (length < HEAD_BYTES + CHECKSUM_BYTES)
		return refuse(r, start, "too short");
	if (memcmp(start, "WEIRSNAP", 8))
		return refuse(r, start, "no WEIRSNAP at the start");
	if (get16(start + 8) != 1)
		return refuse(r, start + 8, "another version");
	if (get32(start + 24) != length)
		return refuse(r, start + 24, "another length than it says");
	if (get32(start + length - CHECKSUM_BYTES) != crc32c_of(start, length - CHECKSUM_BYTES))
		return refuse(r, start + length - CHECKSUM_BYTES, "checksum");
	return check_head(r, l) && check_records(r, l);
}

static size_t words_of(const struct place *p)
{
	return (p->outputs + p->lanes - 1) / p->lanes;
}

static void pack_layer(struct weir_table_layer *layer, const struct place *p, u32 precision)
{
	u32 bits = p->lanes == 4 ? 16 : p->lanes == 3 ? 21 : 32, output, i;
	u64 half = 1ULL << (bits - 1);

	layer->inputs = p->inputs;
	layer->outputs = p->outputs;
	layer->lanes = p->lanes;
	layer->words = (u32)words_of(p);
	layer->activation = p->activation;
	layer->first = p->first;
	layer->second = p->second;
	layer->wide = p->wide;
	for (output = 0; output < layer->words * p->lanes; output++) {
		u32 word = output / p->lanes, at = bits * (output % p->lanes);
		struct weir_unit *unit = &layer->units[output];
		u32 lift, down;
		s64 start;

		layer->starts[word] += half << at;
		if (output >= p->outputs)
			continue;
		lift = lift_of(p, output);
		down = (s8)p->shift[output] > 0 ? p->shift[output] : 0;
		start = (s64)(s32)get32(p->bias + 4 * output) * (1 << lift) + rounding_of(p, output);
		layer->starts[word] += (u64)start << at;
		for (i = 0; i < p->inputs; i++) {
			s64 weight = (s64)weight_of(p, precision, output * p->inputs + i) * (1 << lift);
			s64 *sum = &layer->weights[word * p->inputs + i];

			*sum = (s64)((u64)*sum + ((u64)weight << at));
		}
		unit->mask = ~0U >> (32 - bits + down);
		unit->base = (u32)(half >> down);
		unit->multiplier = (s16)get16(p->multiplier + 2 * output);
		unit->shift = (u8)(at + down);
	}
}

static void pack(struct weir_table *table, const struct layout *l, const u8 *start, size_t length)
{
	u32 i;

	memcpy(table->name, start + 28, WEIR_NAME_MAX);
	table->function = l->function;
	table->precision = l->precision;
	table->output = l->output;
	table->layer_count = l->layer_count;
	table->inputs = l->inputs;
	table->values = l->values;
	table->outputs = l->output == WEIR_ARGMAX ? 1 : l->values;
	table->schema_hash = get64(start + 16);
	table->checksum = get32(start + length - CHECKSUM_BYTES);
	for (i = 0; i < l->inputs; i++) {
		const u8 *at = l->input + RECORD_BYTES * i;

		table->input[i].multiplier = (s32)get32(at);
		table->input[i].offset = (s32)get32(at + 4);
		table->input[i].clip_lo = (s32)get32(at + 8);
		table->input[i].clip_hi = (s32)get32(at + 12);
		table->input[i].shift = get32(at + 16);
	}
	for (i = 0; i < l->values; i++) {
		const u8 *at = l->last + RECORD_BYTES * i;

		table->last[i].multiplier = (s32)get32(at);
		table->last[i].shift = get32(at + 4);
		table->last[i].offset = (s32)get32(at + 8);
		table->last[i].lo = (s32)get32(at + 12);
		table->last[i].hi = (s32)get32(at + 16);
	}
	for (i = 0; i < l->layer_count; i++)
		pack_layer(&table->layers[i], &l->layers[i], l->precision);
}

int weir_table_decode(const u8 *bytes, size_t length, struct weir_table **result, struct weir_fault *fault)
{
	struct reader r = { bytes, bytes + HEAD_BYTES, bytes + length - CHECKSUM_BYTES, fault };
	struct weir_table *table;
	struct layout layout;
	size_t size = sizeof(*table);
	u8 *at;
	u32 i;

	*result = NULL;
	if (!check(&r, length, &layout))
		return -EINVAL;
	/* 64-bit items first, so that all are aligned. */
	for (i = 0; i < layout.layer_count; i++) {
		const struct place *p = &layout.layers[i];

		size += words_of(p) * (8 * (p->inputs + 1) + p->lanes * sizeof(struct weir_unit));
	}
	size += layout.inputs * sizeof(struct weir_input) + layout.values * sizeof(struct weir_output);
	table = kvzalloc(size, GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	at = (u8 *)(table + 1);
	for (i = 0; i < layout.layer_count; i++) {
		const struct place *p = &layout.layers[i];

		table->layers[i].weights = (s64 *)at;
		at += 8 * words_of(p) * p->inputs;
		table->layers[i].starts = (u64 *)at;
		at += 8 * words_of(p);
	}
	for (i = 0; i < layout.layer_count; i++) {
		table->layers[i].units = (struct weir_unit *)at;
		at += words_of(&layout.layers[i]) * layout.layers[i].lanes * sizeof(struct weir_unit);
	}
	table->input = (struct weir_input *)at;
	at += layout.inputs * sizeof(struct weir_input);
	table->last = (struct weir_output *)at;
	pack(table, &layout, bytes, length);
	*result = table;
	return 0;
}
EXPORT_SYMBOL_GPL(weir_table_decode);

void weir_table_free(struct weir_table *table)
{
	kvfree(table);
}
EXPORT_SYMBOL_GPL(weir_table_free);

void weir_table_quantise(const struct weir_table *table, const s32 *features, struct weir_scratch *scratch)
{
	s32 hi = table->precision == 8 ? 127 : 2047;
	u32 i;

	for (i = 0; i < table->inputs; i++)
		scratch->row[i] = weir_quantise(&table->input[i], features[i], -hi - 1, hi);
}
EXPORT_SYMBOL_GPL(weir_table_quantise);

/* The value behind a sum. */
static s32 finish(const struct weir_table_layer *layer, u32 precision, bool last, u64 word, const struct weir_unit *unit)
{
	s32 hi = precision == 8 ? 127 : 2047, value;
	s64 t;

	switch (layer->activation) {
	case WEIR_TANH:
	case WEIR_SIGMOID:
		t = layer->wide ? weir_scaled_wide(word, unit) : weir_scaled(word, unit) * 32768LL;
		if (last)
			return weir_parabola(t);
		return precision == 8 ? weir_line(t) : weir_parabola_hidden(t);
	case WEIR_IDENTITY:
		if (last)
			return weir_sum(word, unit);
		value = weir_scaled(word, unit);
		break;
	case WEIR_RELU:
		value = weir_relu(weir_scaled(word, unit), layer->first);
		break;
	case WEIR_LEAKY_RELU:
		value = weir_leaky_relu(weir_scaled(word, unit), layer->first, layer->second);
		break;
	default:
		value = weir_clamp(weir_scaled(word, unit), layer->first, layer->second);
		break;
	}
	return last ? value : weir_clamp(value, -hi - 1, hi);
}

static void infer_layer(const struct weir_table *table, u32 at, struct weir_scratch *scratch, const s16 *x, s16 *y)
{
	const struct weir_table_layer *layer = &table->layers[at];
	const struct weir_unit *unit = layer->units;
	bool last = at + 1 == table->layer_count;
	u32 word, output = 0, lane;

	for (word = 0; word < layer->words; word++) {
		u64 sums = weir_sums(layer->weights + word * layer->inputs, x, layer->inputs, layer->starts[word]);

		for (lane = 0; lane < layer->lanes && output < layer->outputs; lane++, output++) {
			s32 value = finish(layer, table->precision, last, sums, unit + output);

			if (last)
				scratch->values[output] = value;
			else
				y[output] = (s16)value;
		}
	}
}

void weir_table_infer(const struct weir_table *table, struct weir_scratch *scratch, s32 *out)
{
	s16 *x = scratch->row, *y = scratch->next, *swap;
	s32 *values = scratch->values;
	u32 i;

	for (i = 0; i < table->layer_count; i++) {
		infer_layer(table, i, scratch, x, y);
		swap = x;
		x = y;
		y = swap;
	}
	for (i = 0; i < table->values; i++)
		values[i] = weir_to_q16(&table->last[i], values[i]);
	if (table->output == WEIR_SOFTMAX)
		weir_softmax(values, out, table->values);
	else if (table->output == WEIR_ARGMAX)
		out[0] = (s32)(weir_argmax(values, table->values) << 16);
	else
		memcpy(out, values, sizeof(*out) * table->values);
}
EXPORT_SYMBOL_GPL(weir_table_infer);
