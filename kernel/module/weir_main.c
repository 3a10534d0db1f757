// SPDX-License-Identifier: MIT OR GPL-2.0
/* The core module: its parts up and down, and its counters in debugfs (weir/counters). */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include "weir_internal.h"

struct dentry *weir_debugfs;
EXPORT_SYMBOL_GPL(weir_debugfs);

static const char *const names[WEIR_COUNTERS_END] = {
#define X(name) [WEIR_COUNT_##name] = #name,
	WEIR_COUNTERS(X)
#undef X
};

static int counters_show(struct seq_file *file, void *unused)
{
	int at, cpu;

	for (at = 0; at < WEIR_COUNTERS_END; at++) {
		u64 sum = 0;

		for_each_possible_cpu(cpu)
			sum += per_cpu_ptr(weir_counts, cpu)->of[at];
		seq_printf(file, "%s %llu\n", names[at], sum);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static int __init weir_init(void)
{
	int err = weir_registry_init();

	if (err)
		return err;
	err = weir_samples_init();
	if (err)
		goto registry;
	err = weir_netlink_init();
	if (err)
		goto samples;
	weir_debugfs = debugfs_create_dir("weir", NULL);
	debugfs_create_file("counters", 0444, weir_debugfs, NULL, &counters_fops);
	return 0;

samples:
	weir_samples_exit();
registry:
	weir_registry_exit();
	return err;
}

static void __exit weir_exit(void)
{
	debugfs_remove_recursive(weir_debugfs);
	weir_netlink_exit();
	weir_samples_exit();
	weir_registry_exit();
}

module_init(weir_init);
module_exit(weir_exit);
MODULE_DESCRIPTION("Weir: quantised networks that decide in the network stack");
MODULE_LICENSE("Dual MIT/GPL");
