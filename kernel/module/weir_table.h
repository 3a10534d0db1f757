/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A snapshot from its file: the decoder, as strict as the one in snapshot/, and the executor that runs what it made. The
 * same text in the kernel and in user space, where kernel/emit's tests hold both to Rust's.
 */
#ifndef WEIR_TABLE_H
#define WEIR_TABLE_H

#include "weir_arith.h"

/* The length of the largest snapshot; longer ones are refused unread. */
#define WEIR_FILE_MAX (60 + 2 * WEIR_WIDTH_MAX * 20 + WEIR_LAYERS_MAX * (10 + WEIR_WIDTH_MAX * (7 + 2 * WEIR_WIDTH_MAX)) + 4)
#define WEIR_NAME_MAX 32

struct weir_table_layer {
	u32 inputs;
	u32 outputs;
	/* Sums to a word, and words. */
	u32 lanes;
	u32 words;
	u32 activation;
	s32 first;
	s32 second;
	/* Every multiplier is large enough for weir_scaled_wide(). */
	bool wide;
	s64 *weights;
	u64 *starts;
	struct weir_unit *units;
};

/* A decoded snapshot: one allocation. */
struct weir_table {
	char name[WEIR_NAME_MAX + 1];
	u32 function;
	u32 precision;
	u32 output;
	u32 layer_count;
	u32 inputs;
	/* Results of one inference. */
	u32 outputs;
	/* Outputs of the last layer. */
	u32 values;
	u32 checksum;
	u64 schema_hash;
	struct weir_input *input;
	struct weir_output *last;
	struct weir_table_layer layers[WEIR_LAYERS_MAX];
};

/* Why bytes are no snapshot, and where. */
struct weir_fault {
	const char *why;
	u32 at;
};

/*
 * Decodes a whole file. Checks all of it before it sets memory aside. 0, or -EINVAL with *fault filled in, or -ENOMEM.
 * The result is freed by weir_table_free().
 */
int weir_table_decode(const u8 *bytes, size_t length, struct weir_table **table, struct weir_fault *fault);
void weir_table_free(struct weir_table *table);

/* Features in Q16 to scratch->row. */
void weir_table_quantise(const struct weir_table *table, const s32 *features, struct weir_scratch *scratch);
/* scratch->row, which it overwrites, to table->outputs results in Q16. */
void weir_table_infer(const struct weir_table *table, struct weir_scratch *scratch, s32 *out);

#endif
