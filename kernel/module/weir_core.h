/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The core's interface to the other modules: snapshots that were compiled in come through weir_compiled_register(), users of
 * a function call weir_bind() at a boundary of theirs and weir_query() to decide.
 */
#ifndef WEIR_CORE_H
#define WEIR_CORE_H

#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/types.h>
#include "weir_snapshot.h"
#include "weir_uapi.h"

struct dentry;
struct module;

/* A snapshot that was compiled, while its module is loaded. */
struct weir_compiled {
	const struct weir_code *code;
	struct module *owner;
	struct list_head list;
};

/* Holds the snapshot to its golden vectors, and publishes it. -EILSEQ if they do not come out. */
int weir_compiled_register(struct weir_compiled *compiled, struct module *owner);
void weir_compiled_unregister(struct weir_compiled *compiled);

/* What a flow follows from one boundary to the next. A number, never a pointer: an old one is found out, not followed. */
struct weir_binding {
	u32 generation;
	u64 schema_hash;
	struct weir_spec spec;
};

/* Binds to the active generation of a function. False if there is none. Any context but NMI. */
bool weir_bind(u32 function, struct weir_binding *binding);

/* Whether a generation is the active one or the one before. Any context but NMI. */
bool weir_is_live(u32 function, u32 generation);

/*
 * Runs a live generation (the active one or the one before) of a function: its `inputs` features in Q16 to its results. False
 * if it is no longer live. Any context but hard interrupts; never sleeps.
 */
bool weir_query(u32 function, u32 generation, const s32 *features, s32 *out);

/* Hands a sample to user space; where the ring is full it is dropped and counted. */
void weir_sample_push(const struct weir_sample *sample);

struct weir_shares weir_shares_now(void);

/* One counter for each thing that happens; debugfs shows them under these names. */
#define WEIR_COUNTERS(X)									\
	X(published) X(withdrawn) X(rolled_back) X(refused_snapshot) X(refused_schema) X(refused_golden)	\
	X(refused_stale) X(inferences) X(queries_without_generation)				\
	X(flows) X(flows_without_memory) X(intervals) X(intervals_without_rtt) X(intervals_app_limited)	\
	X(decisions_model) X(decisions_explored) X(decisions_rule) X(decisions_control) X(rebinds)	\
	X(guard_action) X(guard_loss) X(guard_floor) X(guard_ceiling) X(longer_paths)				\
	X(samples) X(samples_dropped) X(yield_flows)						\
	X(select_flows) X(select_table_full) X(select_peers_full) X(select_kept) X(select_failed)	\
	X(select_unroutable) X(select_paths_model) X(select_paths_rule) X(select_paths_control)		\
	X(select_sizes_model) X(select_sizes_rule) X(select_sizes_control) X(guard_size)

enum weir_counter {
#define X(name) WEIR_COUNT_##name,
	WEIR_COUNTERS(X)
#undef X
	WEIR_COUNTERS_END,
};

struct weir_counts {
	u64 of[WEIR_COUNTERS_END];
};

extern struct weir_counts __percpu *weir_counts;

/* The folder in debugfs. */
extern struct dentry *weir_debugfs;

#define weir_count(name) this_cpu_inc(weir_counts->of[WEIR_COUNT_##name])

#endif
