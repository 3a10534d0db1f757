// SPDX-License-Identifier: MIT OR GPL-2.0
/* The names of feature definitions: docs/features.md, sections 10, 12 and 13. */
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

static u64 hash_features(u64 hash, const struct weir_table *table, const char *const *names, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		hash = hash_text(hash, names[i]);
		hash = hash_number(hash, (u64)(s64)table->input[i].clip_lo);
		hash = hash_number(hash, (u64)(s64)table->input[i].clip_hi);
	}
	return hash;
}

static u64 pacing_definitions(u64 hash, const struct weir_table *table, const struct weir_spec *spec)
{
	static const char *const names[WEIR_FEATURES] = { "sent_latency_inflation", "latency_ratio", "send_ratio" };

	hash = hash_text(hash, "weir.features.pacing");
	hash = hash_number(hash, 1);
	hash = hash_number(hash, WEIR_HISTORY);
	hash = hash_number(hash, WEIR_FEATURES);
	hash = hash_features(hash, table, names, WEIR_FEATURES);
	hash = hash_number(hash, spec->rtt_floor_ns);
	hash = hash_number(hash, spec->interval_rtt_q8);
	hash = hash_number(hash, spec->interval_packets_min);
	hash = hash_number(hash, spec->interval_min_ns);
	return hash_number(hash, spec->interval_max_ns);
}

static u64 balance_definitions(u64 hash, const struct weir_table *table, const struct weir_spec *spec)
{
	static const char *const names[WEIR_PATH_INPUTS] = {
		"rtt_ratio", "rtt_gradient", "ecn_fraction", "loss_fraction", "in_flight_ratio", "utilisation",
		"sample_age", "is_current", "log_remaining", "log_sent", "gap_ratio",
	};

	hash = hash_text(hash, "weir.features.balance");
	hash = hash_number(hash, 1);
	hash = hash_number(hash, WEIR_PATH_INPUTS);
	hash = hash_features(hash, table, names, WEIR_PATH_INPUTS);
	return hash_number(hash, spec->rtt_floor_ns);
}

static u64 size_definitions(u64 hash, const struct weir_table *table)
{
	static const char *const names[WEIR_SIZE_INPUTS] = {
		"log_first_len", "port_class", "is_serving", "log_gap", "log_in_flight", "sizes_known",
		"log_mean_size", "log_size_1", "log_size_2", "log_size_3", "log_size_4", "log_size_5",
	};

	hash = hash_text(hash, "weir.features.schedule");
	hash = hash_number(hash, 1);
	hash = hash_number(hash, WEIR_PEER_SIZES);
	hash = hash_number(hash, WEIR_SIZE_INPUTS);
	return hash_features(hash, table, names, WEIR_SIZE_INPUTS);
}

u64 weir_schema_hash(const struct weir_table *table, const struct weir_spec *spec, const u64 *affine)
{
	static const char *const names[WEIR_FUNCTIONS] = { "weir.inputs.pacing", "weir.inputs.balance", "weir.inputs.schedule" };
	const u64 start = 0xcbf29ce484222325ULL;
	u64 hash;
	u32 i;

	switch (table->function) {
	case WEIR_PACING:
		hash = pacing_definitions(start, table, spec);
		break;
	case WEIR_BALANCE:
		hash = balance_definitions(start, table, spec);
		break;
	default:
		hash = size_definitions(start, table);
	}
	hash = hash_number(hash_text(start, names[table->function]), hash);
	for (i = 0; i < 2 * weir_features_of(table->function); i++)
		hash = hash_number(hash, affine[i]);
	return hash;
}
