// SPDX-License-Identifier: MIT OR GPL-2.0
/* The names of feature definitions: docs/features.md, section 10. */
#include <linux/string.h>
#include "weir_internal.h"

static u64 hash_byte(u64 hash, u8 byte)
{
	return (hash ^ byte) * 0x100000001b3ULL;
}

static u64 hash_number(u64 hash, u64 number)
{
	u32 i;

	for (i = 0; i < 8; i++)
		hash = hash_byte(hash, (u8)(number >> (8 * i)));
	return hash;
}

static u64 hash_text(u64 hash, const char *text)
{
	hash = hash_number(hash, strlen(text));
	while (*text)
		hash = hash_byte(hash, (u8)*text++);
	return hash;
}

u64 weir_schema_hash(const struct weir_spec *spec, const u64 *affine)
{
	static const char *const names[WEIR_FEATURES] = { "sent_latency_inflation", "latency_ratio", "send_ratio" };
	const u64 start = 0xcbf29ce484222325ULL;
	u64 hash;
	u32 i;

	hash = hash_text(start, "weir.features.pacing");
	hash = hash_number(hash, 1);
	hash = hash_number(hash, WEIR_HISTORY);
	hash = hash_number(hash, WEIR_FEATURES);
	for (i = 0; i < WEIR_FEATURES; i++) {
		hash = hash_text(hash, names[i]);
		hash = hash_number(hash, (u64)(s64)spec->clips[i][0]);
		hash = hash_number(hash, (u64)(s64)spec->clips[i][1]);
	}
	hash = hash_number(hash, spec->rtt_floor_ns);
	hash = hash_number(hash, spec->interval_rtt_q8);
	hash = hash_number(hash, spec->interval_packets_min);
	hash = hash_number(hash, spec->interval_min_ns);
	hash = hash_number(hash, spec->interval_max_ns);

	hash = hash_number(hash_text(start, "weir.inputs.pacing"), hash);
	for (i = 0; i < 2 * WEIR_FEATURES; i++)
		hash = hash_number(hash, affine[i]);
	return hash;
}
