// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The flows that leave this host, and what is remembered of their peers: two tables of buckets with eight places each, which
 * never grow. Both are known by keyed 64-bit hashes alone: two that met in one would share a decision.
 *
 * A flow that is alive keeps its place; a new one that finds its bucket full has none, and goes by the rule. Who is silent
 * for long, or has ended, makes way; a worker sweeps such places once a second, so that peers' counts come right.
 */
#include <linux/bottom_half.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include <uapi/linux/in.h>
#include "weir_select.h"

#define WAYS 8
#define PEER_BUCKETS 512
/* Silence after which a flow is taken for over: with data, without, after its end, and where there is no connection. */
#define IDLE_TCP (300 * HZ)
#define IDLE_OPENING (30 * HZ)
#define IDLE_ENDED (10 * HZ)
#define IDLE_OTHER (60 * HZ)
#define SWEEP HZ

struct bucket {
	spinlock_t lock;
	struct select_flow flows[WAYS];
};

struct peer {
	u64 key;
	unsigned long touched;
	struct weir_peer history;
};

struct peer_bucket {
	spinlock_t lock;
	struct peer peers[WAYS];
};

static struct bucket *buckets;
static u32 bucket_count;
static struct peer_bucket *peer_buckets;

static struct bucket *bucket_of(u64 key)
{
	return &buckets[key & (bucket_count - 1)];
}

static struct peer_bucket *peer_bucket_of(u64 key)
{
	return &peer_buckets[key & (PEER_BUCKETS - 1)];
}

/* A peer's place, with its bucket locked; NULL where it has none. */
static struct peer *find_peer(struct peer_bucket *bucket, u64 key)
{
	u32 i;

	for (i = 0; i < WAYS; i++)
		if (bucket->peers[i].key == key)
			return &bucket->peers[i];
	return NULL;
}

/* A place for a new peer: a free one, or that of the one silent for longest among those with no flow under way. */
static struct peer *make_peer(struct peer_bucket *bucket, u64 key)
{
	struct peer *place = NULL;
	u32 i;

	for (i = 0; i < WAYS; i++) {
		struct peer *peer = &bucket->peers[i];

		if (!peer->key) {
			place = peer;
			break;
		}
		if (!peer->history.in_flight && (!place || time_before(peer->touched, place->touched)))
			place = peer;
	}
	if (place) {
		memset(place, 0, sizeof(*place));
		place->key = key;
	}
	return place;
}

bool select_peer_begin(u64 key, const struct weir_first *first, u64 now_ns, s32 *row)
{
	static const struct weir_peer nobody;
	struct peer_bucket *bucket = peer_bucket_of(key);
	struct peer *peer;

	spin_lock_bh(&bucket->lock);
	peer = find_peer(bucket, key);
	if (!peer)
		peer = make_peer(bucket, key);
	weir_size_row(first, peer ? &peer->history : &nobody, now_ns, row);
	if (peer) {
		peer->touched = jiffies;
		weir_peer_begin(&peer->history, now_ns);
	}
	spin_unlock_bh(&bucket->lock);
	if (!peer)
		weir_count(select_peers_full);
	return peer;
}

static void end_peer(u64 key, bool whole, u64 bytes)
{
	struct peer_bucket *bucket = peer_bucket_of(key);
	struct peer *peer;

	spin_lock_bh(&bucket->lock);
	/* It is there: a peer with a flow under way keeps its place. */
	peer = find_peer(bucket, key);
	if (peer)
		weir_peer_end(&peer->history, whole, bytes);
	spin_unlock_bh(&bucket->lock);
}

void select_flow_end(struct select_flow *flow)
{
	if (flow->peer)
		end_peer(flow->peer, flow->whole, flow->sent);
	flow->peer = 0;
	flow->ended = true;
}

void select_flow_restart(struct select_flow *flow)
{
	struct select_flow fresh = { .key = flow->key, .protocol = flow->protocol };

	select_flow_end(flow);
	if (flow->routed)
		select_path_depart(flow->path, 0, -(s64)flow->in_flight, ktime_get_ns());
	*flow = fresh;
}

static bool is_over(const struct select_flow *flow)
{
	unsigned long idle = IDLE_OTHER;

	if (flow->ended)
		idle = IDLE_ENDED;
	else if (flow->protocol == IPPROTO_TCP)
		idle = flow->begun ? IDLE_TCP : IDLE_OPENING;
	return time_after(jiffies, flow->seen + idle);
}

spinlock_t *select_flow_lock(u64 key)
{
	return &bucket_of(key)->lock;
}

struct select_flow *select_flow_find(u64 key, u8 protocol)
{
	struct bucket *bucket = bucket_of(key);
	struct select_flow *place = NULL;
	u32 i;

	for (i = 0; i < WAYS; i++) {
		struct select_flow *flow = &bucket->flows[i];

		if (flow->key == key) {
			flow->seen = jiffies;
			return flow;
		}
		if (!flow->key || (!place && is_over(flow)))
			place = flow;
	}
	if (!place)
		return NULL;
	if (place->key)
		select_flow_restart(place);
	memset(place, 0, sizeof(*place));
	place->key = key;
	place->protocol = protocol;
	place->seen = jiffies;
	return place;
}

static void sweep(struct work_struct *work);
static DECLARE_DELAYED_WORK(sweeper, sweep);

static void sweep(struct work_struct *work)
{
	u32 at, i;

	for (at = 0; at < bucket_count; at++) {
		struct bucket *bucket = &buckets[at];

		spin_lock_bh(&bucket->lock);
		for (i = 0; i < WAYS; i++) {
			struct select_flow *flow = &bucket->flows[i];

			if (flow->key && is_over(flow)) {
				select_flow_restart(flow);
				flow->key = 0;
			}
		}
		spin_unlock_bh(&bucket->lock);
		cond_resched();
	}
	schedule_delayed_work(&sweeper, SWEEP);
}

void select_flows_show(struct seq_file *file)
{
	u32 at, i, flows = 0, peers = 0;

	for (at = 0; at < bucket_count; at++)
		for (i = 0; i < WAYS; i++)
			flows += READ_ONCE(buckets[at].flows[i].key) != 0;
	for (at = 0; at < PEER_BUCKETS; at++)
		for (i = 0; i < WAYS; i++)
			peers += READ_ONCE(peer_buckets[at].peers[i].key) != 0;
	seq_printf(file, "flows %u of %u\npeers %u of %u\n", flows, bucket_count * WAYS, peers, PEER_BUCKETS * WAYS);
}

int select_flows_init(u32 flows_max)
{
	u32 at;

	bucket_count = rounddown_pow_of_two(max(flows_max / WAYS, 1U));
	buckets = vcalloc(bucket_count, sizeof(*buckets));
	peer_buckets = vcalloc(PEER_BUCKETS, sizeof(*peer_buckets));
	if (!buckets || !peer_buckets) {
		vfree(buckets);
		vfree(peer_buckets);
		return -ENOMEM;
	}
	for (at = 0; at < bucket_count; at++)
		spin_lock_init(&buckets[at].lock);
	for (at = 0; at < PEER_BUCKETS; at++)
		spin_lock_init(&peer_buckets[at].lock);
	schedule_delayed_work(&sweeper, SWEEP);
	return 0;
}

void select_flows_exit(void)
{
	cancel_delayed_work_sync(&sweeper);
	vfree(buckets);
	vfree(peer_buckets);
}
