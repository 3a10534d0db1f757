/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a snapshot that was emitted as C gives to who runs it. In the kernel WEIR_SNAPSHOT() makes it a module, whose
 * loading registers the snapshot with the core, which first holds it to its golden vectors; in user space it is a function
 * that tests and benches call.
 */
#ifndef WEIR_SNAPSHOT_H
#define WEIR_SNAPSHOT_H

#include "weir_arith.h"
#include "weir_features.h"

enum weir_function {
	WEIR_PACING,
	WEIR_BALANCE,
	WEIR_SCHEDULE,
	WEIR_FUNCTIONS,
};

struct weir_code {
	const char *name;
	u32 function;
	u32 inputs;
	u32 outputs;
	u32 checksum;
	u64 schema_hash;
	/* Of the features that schema_hash names; NULL where the function is not pacing. */
	const struct weir_spec *spec;
	/* Features in Q16 to scratch->row. */
	void (*quantise)(const s32 *features, struct weir_scratch *scratch);
	/* scratch->row, which it overwrites, to results in Q16. */
	void (*infer)(struct weir_scratch *scratch, s32 *out);
	/* So many times `inputs` features, and the `outputs` results that each must give. */
	u32 golden;
	const s32 *golden_features;
	const s32 *golden_results;
};

#if defined(__KERNEL__)
#include <linux/module.h>
#include "weir_core.h"

#define WEIR_SNAPSHOT(code)								\
	static struct weir_compiled code##_compiled = { .code = &(code) };		\
	static int __init code##_init(void)						\
	{										\
		return weir_compiled_register(&code##_compiled, THIS_MODULE);		\
	}										\
	static void __exit code##_exit(void)						\
	{										\
		weir_compiled_unregister(&code##_compiled);				\
	}										\
	module_init(code##_init);							\
	module_exit(code##_exit);							\
	MODULE_DESCRIPTION("Weir: a snapshot as code");					\
	MODULE_LICENSE("Dual MIT/GPL")
#else
#define WEIR_SNAPSHOT(code) const struct weir_code *weir_snapshot_code(void)		\
	{										\
		return &(code);								\
	}
const struct weir_code *weir_snapshot_code(void);
#endif

#endif
