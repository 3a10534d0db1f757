// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Lets a test in the guest hold the kernel's integers to the host's, by files in debugfs (weir_test/):
 *
 *   trace     a line of a trace (docs/features.md, section 10) in, the line with its results out
 *   snapshot  a snapshot file in, decoded for `table`
 *   table     "SEED COUNT" in: so many inferences of seeded features by that snapshot; a hash of all results out
 *   splat     reads a pointer under RCU without its lock: what PROVE_RCU, where it is on, must complain about
 *   query     the same by the active generation of pacing, as users of the core ask for it
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "weir_core.h"
#include "weir_table.h"
#include "weir_trace.h"

static struct dentry *folder;
static DEFINE_MUTEX(lock);
static struct weir_trace trace;
static char line[1024], result[2048];
static u8 *upload;
static struct weir_table *table;

static u64 next(u64 *state)
{
	u64 z;

	*state += 0x9E3779B97F4A7C15ULL;
	z = (*state ^ (*state >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

static u64 fnv(u64 hash, const s32 *numbers, u32 count)
{
	u32 i, bit;

	for (i = 0; i < count; i++)
		for (bit = 0; bit < 32; bit += 8)
			hash = (hash ^ (((u32)numbers[i] >> bit) & 0xff)) * 0x100000001b3ULL;
	return hash;
}

/* Features of every magnitude. */
static void draw(u64 *state, s32 *features, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		u64 z = next(state);

		features[i] = (s32)(z >> 32) >> (z & 31);
	}
}

static ssize_t trace_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	ssize_t done = (ssize_t)size;

	if (size >= sizeof(line))
		return -EINVAL;
	mutex_lock(&lock);
	if (copy_from_user(line, from, size))
		done = -EFAULT;
	line[size] = 0;
	if (done > 0 && !weir_trace_line(&trace, line, result, sizeof(result)))
		done = -EINVAL;
	mutex_unlock(&lock);
	return done;
}

static ssize_t trace_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	loff_t start = 0;
	ssize_t done;

	mutex_lock(&lock);
	done = simple_read_from_buffer(to, size, &start, result, strlen(result));
	mutex_unlock(&lock);
	return done;
}

static const struct file_operations trace_fops = {
	.owner = THIS_MODULE,
	.write = trace_write,
	.read = trace_read,
};

static ssize_t snapshot_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct weir_fault fault = { NULL, 0 };
	struct weir_table *decoded;
	ssize_t done = (ssize_t)size;

	if (size > WEIR_FILE_MAX)
		return -EFBIG;
	mutex_lock(&lock);
	if (copy_from_user(upload, from, size)) {
		done = -EFAULT;
	} else {
		int err = weir_table_decode(upload, size, &decoded, &fault);

		if (err) {
			done = err;
		} else {
			weir_table_free(table);
			table = decoded;
		}
	}
	mutex_unlock(&lock);
	return done;
}

static const struct file_operations snapshot_fops = {
	.owner = THIS_MODULE,
	.write = snapshot_write,
};

struct run {
	u64 hash;
	s32 features[WEIR_WIDTH_MAX];
	s32 out[WEIR_WIDTH_MAX];
	struct weir_scratch scratch;
};

/* `query`, else the decoded table. The answer is the file's own: two processes may ask at once. */
static ssize_t run_write(struct file *file, const char __user *from, size_t size, bool query)
{
	struct weir_binding binding;
	struct run *run = file->private_data;
	u64 state, count;
	char text[64];

	if (size >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, size))
		return -EFAULT;
	text[size] = 0;
	if (sscanf(text, "%llu %llu", &state, &count) != 2)
		return -EINVAL;
	run->hash = 0xcbf29ce484222325ULL;
	if (query && !weir_bind(WEIR_PACING, &binding))
		return -ENOENT;
	if (!query && !table)
		return -ENOENT;
	while (count--) {
		u32 inputs = query ? WEIR_INPUTS : table->inputs, outputs = query ? 1 : table->outputs;

		draw(&state, run->features, inputs);
		if (query) {
			if (!weir_query(WEIR_PACING, binding.generation, run->features, run->out))
				return -ESTALE;
		} else {
			weir_table_quantise(table, run->features, &run->scratch);
			weir_table_infer(table, &run->scratch, run->out);
		}
		run->hash = fnv(run->hash, run->out, outputs);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return (ssize_t)size;
}

static ssize_t table_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	return run_write(file, from, size, false);
}

static ssize_t query_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	return run_write(file, from, size, true);
}

static int run_open(struct inode *inode, struct file *file)
{
	file->private_data = kzalloc(sizeof(struct run), GFP_KERNEL);
	return file->private_data ? 0 : -ENOMEM;
}

static int run_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t run_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	const struct run *run = file->private_data;
	char text[32];
	loff_t start = 0;

	snprintf(text, sizeof(text), "%016llx", run->hash);
	return simple_read_from_buffer(to, size, &start, text, strlen(text));
}

static const struct file_operations table_fops = {
	.owner = THIS_MODULE,
	.open = run_open,
	.release = run_release,
	.write = table_write,
	.read = run_read,
};

static const struct file_operations query_fops = {
	.owner = THIS_MODULE,
	.open = run_open,
	.release = run_release,
	.write = query_write,
	.read = run_read,
};

static int __rcu *nothing;

static ssize_t splat_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	return rcu_dereference(nothing) ? -EINVAL : (ssize_t)size;
}

static const struct file_operations splat_fops = {
	.owner = THIS_MODULE,
	.write = splat_write,
};

static int __init weir_test_init(void)
{
	upload = kvmalloc(WEIR_FILE_MAX, GFP_KERNEL);
	if (!upload)
		return -ENOMEM;
	weir_trace_init(&trace);
	folder = debugfs_create_dir("weir_test", NULL);
	debugfs_create_file("trace", 0600, folder, NULL, &trace_fops);
	debugfs_create_file("snapshot", 0600, folder, NULL, &snapshot_fops);
	debugfs_create_file("table", 0600, folder, NULL, &table_fops);
	debugfs_create_file("splat", 0200, folder, NULL, &splat_fops);
	debugfs_create_file("query", 0600, folder, NULL, &query_fops);
	return 0;
}

static void __exit weir_test_exit(void)
{
	debugfs_remove_recursive(folder);
	weir_table_free(table);
	kvfree(upload);
}

module_init(weir_test_init);
module_exit(weir_test_exit);
MODULE_DESCRIPTION("Weir: the kernel's integers, for a test to compare");
MODULE_LICENSE("Dual MIT/GPL");
