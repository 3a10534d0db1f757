/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the core's own files say to each other. */
#ifndef WEIR_INTERNAL_H
#define WEIR_INTERNAL_H

#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include "weir_core.h"
#include "weir_paths.h"
#include "weir_table.h"

/* One published generation. Its body is code, which its module owns, or a table, which it owns itself. */
struct weir_net {
	u32 generation;
	u32 function;
	u32 checksum;
	u64 schema_hash;
	const char *name;
	struct weir_spec spec;
	const struct weir_code *code;
	struct module *owner;
	struct weir_table *table;
};

/* Numbers that a user of such a function shows its network. */
static inline u32 weir_inputs_of(u32 function)
{
	return function == WEIR_PACING ? WEIR_INPUTS : function == WEIR_BALANCE ? WEIR_PATH_INPUTS : WEIR_SIZE_INPUTS;
}

/* Whether the core has a user for such a network. */
static inline bool weir_runs(u32 function, u32 inputs, u32 outputs)
{
	return function < WEIR_FUNCTIONS && inputs == weir_inputs_of(function) && outputs == 1;
}

/* What is live of a function: always seen together. */
struct weir_pair {
	struct weir_net *active;
	struct weir_net *previous;
};

/* Serialises everything that changes what is published. */
extern struct mutex weir_lock;

struct weir_pair *weir_pair_locked(u32 function);

/*
 * Publishes a checked table for `spec`, with weir_lock held. Takes the table on success. The new generation, or a negative
 * error.
 */
int weir_publish_table(struct weir_table *table, const struct weir_spec *spec);
int weir_activate(u32 checksum, u32 expect);
int weir_rollback(u32 function);
int weir_withdraw(u32 function);

/* -ESTALE unless `expect` is the active generation (0: none). weir_lock is held. */
int weir_expected(u32 function, u32 expect);

int weir_registry_init(void);
void weir_registry_exit(void);
int weir_samples_init(void);
void weir_samples_exit(void);
int weir_netlink_init(void);
void weir_netlink_exit(void);

/* The oldest sample of the ring; false where it is empty. Taken by weir_sample_taken(). */
bool weir_sample_oldest(struct weir_sample *sample);
void weir_sample_taken(void);
u64 weir_samples_lost(void);

int weir_shares_set(const struct weir_shares *shares);

/* Features of a function, each with a scale and an offset. */
static inline u32 weir_features_of(u32 function)
{
	return function == WEIR_PACING ? WEIR_FEATURES : weir_inputs_of(function);
}

/*
 * The schema hash of a network with these clips, by docs/features.md, sections 10, 12 and 13. Of `spec` only what the
 * function's definitions depend on counts; `affine` has the bits of scale and offset of each feature.
 */
u64 weir_schema_hash(const struct weir_table *table, const struct weir_spec *spec, const u64 *affine);

#endif
