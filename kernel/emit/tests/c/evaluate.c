// SPDX-License-Identifier: MIT OR Apache-2.0
/* Features (s32, as many as the snapshot takes) from standard input, results to standard output, until the input ends. */
#include <stdio.h>
#include "weir_snapshot.h"

int main(void)
{
	static struct weir_scratch scratch;
	static s32 features[WEIR_WIDTH_MAX], out[WEIR_WIDTH_MAX];
	const struct weir_code *code = weir_snapshot_code();
	u32 at, i;

	for (at = 0; at < code->golden; at++) {
		code->quantise(code->golden_features + at * code->inputs, &scratch);
		code->infer(&scratch, out);
		for (i = 0; i < code->outputs; i++)
			if (out[i] != code->golden_results[at * code->outputs + i])
				return 1;
	}
	while (fread(features, sizeof(s32), code->inputs, stdin) == code->inputs) {
		code->quantise(features, &scratch);
		code->infer(&scratch, out);
		fwrite(out, sizeof(s32), code->outputs, stdout);
	}
	return 0;
}
