// SPDX-License-Identifier: MIT OR Apache-2.0
/*
 * table run FILE: features from standard input, results to standard output, by the decoded snapshot.
 * table decode: snapshots from standard input, each behind its length (u32); for each a byte: 1 decoded, 0 refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "weir_table.h"

static u8 *take(FILE *file, size_t length)
{
	/* Of exactly this size, so that a checker of memory sees a read beyond it. */
	u8 *bytes = malloc(length ? length : 1);

	if (!bytes || fread(bytes, 1, length, file) != length)
		exit(2);
	return bytes;
}

int main(int argc, char **argv)
{
	static struct weir_scratch scratch;
	static s32 features[WEIR_WIDTH_MAX], out[WEIR_WIDTH_MAX];
	struct weir_fault fault = { NULL, 0 };
	struct weir_table *table;
	u32 length;
	u8 *bytes;

	if (argc == 3 && !strcmp(argv[1], "run")) {
		FILE *file = fopen(argv[2], "rb");

		if (!file || fseek(file, 0, SEEK_END))
			return 2;
		length = (u32)ftell(file);
		rewind(file);
		bytes = take(file, length);
		if (weir_table_decode(bytes, length, &table, &fault)) {
			fprintf(stderr, "%s at %u\n", fault.why, fault.at);
			return 1;
		}
		while (fread(features, sizeof(s32), table->inputs, stdin) == table->inputs) {
			weir_table_quantise(table, features, &scratch);
			weir_table_infer(table, &scratch, out);
			fwrite(out, sizeof(s32), table->outputs, stdout);
		}
		return 0;
	}
	while (fread(&length, sizeof(length), 1, stdin) == 1) {
		bytes = take(stdin, length);
		fault.why = NULL;
		if (weir_table_decode(bytes, length, &table, &fault)) {
			if (!fault.why)
				return 3;
			putchar(0);
		} else {
			weir_table_free(table);
			putchar(1);
		}
		free(bytes);
	}
	return 0;
}
