// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The ring of samples. Whoever decides pushes and never waits for a reader; user space takes from it on its own timer. A full
 * ring drops the newest and counts it.
 */
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include "weir_internal.h"

/* At 500 ms from one look to the next, 8,000 sampled intervals a second. */
#define RING 4096

static DEFINE_SPINLOCK(ring_lock);
static struct weir_sample *ring;
static u32 head, tail;
static u64 lost;
static struct weir_shares shares = { 1311, 3277, 6554, 32768 };

void weir_sample_push(const struct weir_sample *sample)
{
	bool kept;

	spin_lock_bh(&ring_lock);
	kept = head - tail < RING;
	if (kept)
		ring[head++ % RING] = *sample;
	else
		lost++;
	spin_unlock_bh(&ring_lock);
	if (kept)
		weir_count(samples);
	else
		weir_count(samples_dropped);
}
EXPORT_SYMBOL_GPL(weir_sample_push);

bool weir_sample_oldest(struct weir_sample *sample)
{
	bool any;

	spin_lock_bh(&ring_lock);
	any = head != tail;
	if (any)
		*sample = ring[tail % RING];
	spin_unlock_bh(&ring_lock);
	return any;
}

void weir_sample_taken(void)
{
	spin_lock_bh(&ring_lock);
	tail++;
	spin_unlock_bh(&ring_lock);
}

u64 weir_samples_lost(void)
{
	u64 now;

	spin_lock_bh(&ring_lock);
	now = lost;
	spin_unlock_bh(&ring_lock);
	return now;
}

struct weir_shares weir_shares_now(void)
{
	struct weir_shares now;

	spin_lock_bh(&ring_lock);
	now = shares;
	spin_unlock_bh(&ring_lock);
	return now;
}
EXPORT_SYMBOL_GPL(weir_shares_now);

int weir_shares_set(const struct weir_shares *wanted)
{
	if (wanted->control > 65536 || wanted->explore > 65536 || wanted->sample > 65536 ||
	    wanted->sigma_q16 > 10 * 65536)
		return -ERANGE;
	spin_lock_bh(&ring_lock);
	shares = *wanted;
	spin_unlock_bh(&ring_lock);
	return 0;
}

int weir_samples_init(void)
{
	ring = vcalloc(RING, sizeof(*ring));
	return ring ? 0 : -ENOMEM;
}

void weir_samples_exit(void)
{
	vfree(ring);
}
