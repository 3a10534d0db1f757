// SPDX-License-Identifier: MIT OR Apache-2.0
/* Both curves, and the hidden one of 12 bits, at every argument. */
#include <stdio.h>
#include "weir_arith.h"

int main(void)
{
	s32 t;

	for (t = -32768; t < 32768; t++) {
		s64 wide = t * 32768LL;
		s32 values[] = { weir_line(wide), weir_parabola(wide), weir_parabola_hidden(wide) };

		fwrite(values, sizeof(values), 1, stdout);
	}
	return 0;
}
