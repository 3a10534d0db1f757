// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What is published: for each function the active and the previous generation, as one pair under RCU. Readers never wait and
 * write nothing shared; a change allocates first, swaps one pointer, waits for a grace period, and frees.
 *
 * A compiled snapshot's module cannot be unloaded while a pair holds it: the pair has a reference on it.
 */
#include <linux/bottom_half.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "weir_internal.h"

DEFINE_MUTEX(weir_lock);

static struct weir_pair __rcu *pairs[WEIR_FUNCTIONS];
static LIST_HEAD(compiled_list);
static u32 last_generation;
static struct weir_scratch __percpu *scratches;
struct weir_counts __percpu *weir_counts;
EXPORT_SYMBOL_GPL(weir_counts);

struct weir_pair *weir_pair_locked(u32 function)
{
	return rcu_dereference_protected(pairs[function], lockdep_is_held(&weir_lock));
}

int weir_expected(u32 function, u32 expect)
{
	struct weir_pair *pair = weir_pair_locked(function);

	if (expect == (pair ? pair->active->generation : 0))
		return 0;
	weir_count(refused_stale);
	return -ESTALE;
}

static void free_net(struct weir_net *net)
{
	if (!net)
		return;
	weir_table_free(net->table);
	module_put(net->owner);
	kfree(net);
}

/* Puts `pair` (NULL: nothing) in place of what is published, and waits until nobody reads that any longer. */
static void swap_pair(u32 function, struct weir_pair *pair)
{
	rcu_assign_pointer(pairs[function], pair);
	synchronize_rcu();
}

/* Makes a copy of `body` the active generation; what was active becomes previous. What `body` owns is the copy's on success. */
static int publish(const struct weir_net *body)
{
	struct weir_pair *old = weir_pair_locked(body->function);
	struct weir_pair *pair = kzalloc(sizeof(*pair), GFP_KERNEL);
	struct weir_net *net = kmemdup(body, sizeof(*net), GFP_KERNEL);

	if (!pair || !net) {
		kfree(pair);
		kfree(net);
		return -ENOMEM;
	}
	net->generation = ++last_generation;
	pair->active = net;
	pair->previous = old ? old->active : NULL;
	swap_pair(net->function, pair);
	if (old) {
		free_net(old->previous);
		kfree(old);
	}
	weir_count(published);
	return (int)net->generation;
}

int weir_publish_table(struct weir_table *table, const struct weir_spec *spec)
{
	const struct weir_net body = {
		.function = table->function,
		.checksum = table->checksum,
		.schema_hash = table->schema_hash,
		.name = table->name,
		.spec = *spec,
		.table = table,
	};

	lockdep_assert_held(&weir_lock);
	return publish(&body);
}

static const struct weir_spec plain_spec = { WEIR_RULE_DEFAULTS };

static int publish_compiled(const struct weir_compiled *compiled)
{
	const struct weir_code *code = compiled->code;
	const struct weir_net body = {
		.function = code->function,
		.checksum = code->checksum,
		.schema_hash = code->schema_hash,
		.name = code->name,
		/* Of other functions' definitions only the floor of RTTs matters, and is no parameter of theirs. */
		.spec = code->spec ? *code->spec : plain_spec,
		.code = code,
		.owner = compiled->owner,
	};
	int done;

	if (!try_module_get(compiled->owner))
		return -ENOMEM;
	done = publish(&body);
	if (done < 0)
		module_put(compiled->owner);
	return done;
}

int weir_activate(u32 checksum, u32 expect)
{
	struct weir_compiled *compiled;
	int err;

	lockdep_assert_held(&weir_lock);
	list_for_each_entry(compiled, &compiled_list, list) {
		if (compiled->code->checksum != checksum)
			continue;
		err = weir_expected(compiled->code->function, expect);
		return err ? err : publish_compiled(compiled);
	}
	return -ENOENT;
}

int weir_rollback(u32 function)
{
	struct weir_pair *old = weir_pair_locked(function), *pair;
	struct weir_net *net;

	if (!old || !old->previous)
		return -ENOENT;
	pair = kzalloc(sizeof(*pair), GFP_KERNEL);
	/* A generation of its own with the same body, whose owner it becomes. */
	net = kmemdup(old->previous, sizeof(*net), GFP_KERNEL);
	if (!pair || !net) {
		kfree(pair);
		kfree(net);
		return -ENOMEM;
	}
	net->generation = ++last_generation;
	pair->active = net;
	pair->previous = old->active;
	swap_pair(function, pair);
	kfree(old->previous);
	kfree(old);
	weir_count(rolled_back);
	return (int)net->generation;
}

int weir_withdraw(u32 function)
{
	struct weir_pair *old = weir_pair_locked(function);

	if (!old)
		return -ENOENT;
	swap_pair(function, NULL);
	free_net(old->active);
	free_net(old->previous);
	kfree(old);
	weir_count(withdrawn);
	return 0;
}

/* Whether the compiled code still computes what the emitter saw. */
static int check_golden(const struct weir_code *code)
{
	struct weir_scratch *scratch = kzalloc(sizeof(*scratch), GFP_KERNEL);
	s32 *out = kcalloc(WEIR_WIDTH_MAX, sizeof(*out), GFP_KERNEL);
	int err = scratch && out ? 0 : -ENOMEM;
	u32 at;

	for (at = 0; at < code->golden && !err; at++) {
		code->quantise(code->golden_features + at * code->inputs, scratch);
		code->infer(scratch, out);
		if (memcmp(out, code->golden_results + at * code->outputs, code->outputs * sizeof(*out)))
			err = -EILSEQ;
	}
	kfree(out);
	kfree(scratch);
	return err;
}

int weir_compiled_register(struct weir_compiled *compiled, struct module *owner)
{
	const struct weir_code *code = compiled->code;
	int err;

	if (!weir_runs(code->function, code->inputs, code->outputs) || (code->function == WEIR_PACING && !code->spec)) {
		weir_count(refused_schema);
		pr_err("weir: %s: no function of this core takes such a network\n", code->name);
		return -EOPNOTSUPP;
	}
	err = check_golden(code);
	if (err) {
		weir_count(refused_golden);
		pr_err("weir: %s: its golden vectors do not come out (%d)\n", code->name, err);
		return err;
	}
	mutex_lock(&weir_lock);
	compiled->owner = owner;
	list_add(&compiled->list, &compiled_list);
	err = publish_compiled(compiled);
	if (err < 0)
		list_del(&compiled->list);
	mutex_unlock(&weir_lock);
	if (err > 0)
		pr_info("weir: %s (%08x) is generation %d of %u\n", code->name, code->checksum, err, code->function);
	return err > 0 ? 0 : err;
}
EXPORT_SYMBOL_GPL(weir_compiled_register);

void weir_compiled_unregister(struct weir_compiled *compiled)
{
	mutex_lock(&weir_lock);
	list_del(&compiled->list);
	mutex_unlock(&weir_lock);
}
EXPORT_SYMBOL_GPL(weir_compiled_unregister);

bool weir_bind(u32 function, struct weir_binding *binding)
{
	const struct weir_pair *pair;

	rcu_read_lock();
	pair = rcu_dereference(pairs[function]);
	if (pair) {
		binding->generation = pair->active->generation;
		binding->schema_hash = pair->active->schema_hash;
		binding->spec = pair->active->spec;
	}
	rcu_read_unlock();
	return pair;
}
EXPORT_SYMBOL_GPL(weir_bind);

/* A live generation, under RCU; NULL for any other number. */
static const struct weir_net *live(u32 function, u32 generation)
{
	const struct weir_pair *pair = rcu_dereference(pairs[function]);

	if (pair && pair->active->generation == generation)
		return pair->active;
	if (pair && pair->previous && pair->previous->generation == generation)
		return pair->previous;
	return NULL;
}

bool weir_is_live(u32 function, u32 generation)
{
	const struct weir_net *net;

	rcu_read_lock();
	net = live(function, generation);
	rcu_read_unlock();
	return net;
}
EXPORT_SYMBOL_GPL(weir_is_live);

bool weir_query(u32 function, u32 generation, const s32 *features, s32 *out)
{
	struct weir_scratch *scratch;
	const struct weir_net *net;

	/* The scratch is this CPU's: nothing else may run on it until the answer is out. */
	local_bh_disable();
	rcu_read_lock();
	net = live(function, generation);
	if (net) {
		scratch = this_cpu_ptr(scratches);
		if (net->code) {
			net->code->quantise(features, scratch);
			net->code->infer(scratch, out);
		} else {
			weir_table_quantise(net->table, features, scratch);
			weir_table_infer(net->table, scratch, out);
		}
		weir_count(inferences);
	} else {
		weir_count(queries_without_generation);
	}
	rcu_read_unlock();
	local_bh_enable();
	return net;
}
EXPORT_SYMBOL_GPL(weir_query);

int weir_registry_init(void)
{
	scratches = alloc_percpu(struct weir_scratch);
	weir_counts = alloc_percpu(struct weir_counts);
	if (scratches && weir_counts)
		return 0;
	weir_registry_exit();
	return -ENOMEM;
}

/* Nobody is left who could ask: modules that do depend on this one. */
void weir_registry_exit(void)
{
	u32 function;

	mutex_lock(&weir_lock);
	for (function = 0; function < WEIR_FUNCTIONS; function++)
		weir_withdraw(function);
	mutex_unlock(&weir_lock);
	free_percpu(scratches);
	free_percpu(weir_counts);
}
