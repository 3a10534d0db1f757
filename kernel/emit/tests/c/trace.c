// SPDX-License-Identifier: MIT OR Apache-2.0
/* Replays a trace from standard input, and writes each line anew with its results. */
#include "weir_trace.h"

int main(void)
{
	static char line[4096], out[4096];
	static struct weir_trace trace;

	weir_trace_init(&trace);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!weir_trace_line(&trace, line, out, sizeof(out)))
			return 1;
		puts(out);
	}
	return 0;
}
