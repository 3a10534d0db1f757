/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the files of weir_select say to each other: packets (weir_select_packet.c), flows
 * and peers (weir_select_flows.c), paths (weir_select_paths.c).
 */
#ifndef WEIR_SELECT_H
#define WEIR_SELECT_H

#include <linux/jiffies.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include "weir_core.h"
#include "weir_paths.h"

#define SELECT_PATHS_MAX 8
#define SELECT_PRIORITIES 8

/* What is read of a packet. */
struct select_packet {
	/* Keyed hashes of its flow and of its peer: namespace, addresses, ports or the service. */
	u64 key;
	u64 peer;
	u64 now_ns;
	u32 seq;
	u32 payload;
	/* Of the first segment, where the card is to cut it. */
	u16 first;
	u16 from;
	u16 to;
	u8 protocol;
	bool tcp;
	bool syn;
	bool end;
	/* To one host that is not on this link by its address, and nothing that finds neighbours: it may take any path. */
	bool routable;
};

struct select_header {
	/* -1: as it is. */
	int dscp;
	/* Of IPv6; 0: as it is. */
	u32 label;
};

struct nf_hook_state;
struct sk_buff;

void select_packets_init(void);
/* False for what is cut off before its ports. */
bool select_parse(const struct sk_buff *skb, const struct nf_hook_state *state, struct select_packet *packet);
/* Writes DSCP and flow label; a DSCP that is there already stays. */
void select_header_set(struct sk_buff *skb, const struct nf_hook_state *state, const struct select_header *header);

/* One flow that leaves this host, in the place that its bucket's lock guards. */
struct select_flow {
	/* A keyed hash of namespace and tuple; 0 for a free place. */
	u64 key;
	/* Its peer's, while that counts it as under way; else 0. */
	u64 peer;
	/* Payload that has left, each byte once; the size that it is taken to have. */
	u64 sent;
	u64 estimate;
	/* Of the path: payload under way, and the socket's counts when they were last read. */
	u64 in_flight;
	u32 delivered;
	u32 delivered_ce;
	u32 lost;
	/* Of the first byte that has not left. */
	u32 next_seq;
	unsigned long seen;
	u8 path;
	u8 protocol;
	/* The socket's counts are in; a path was chosen; data have left; its end has left; all of it was seen; a network said how large it is. */
	bool known;
	bool routed;
	bool begun;
	bool ended;
	bool whole;
	bool predicted;
};

/* What guards the flow with this key, in all of the following. */
spinlock_t *select_flow_lock(u64 key);
/* Its place; a new one has nothing but key and protocol. NULL where its bucket is full of flows that are alive. */
struct select_flow *select_flow_find(u64 key, u8 protocol);
/* The flow sends no more: its size goes to its peer's history. */
void select_flow_end(struct select_flow *flow);
/* Another connection on its ports. */
void select_flow_restart(struct select_flow *flow);

/* The row of a peer's new flow, which from now on is under way. False where there is no place for the peer: a row without history. */
bool select_peer_begin(u64 key, const struct weir_first *first, u64 now_ns, s32 *row);

int select_flows_init(u32 flows_max);
void select_flows_exit(void);
void select_flows_show(struct seq_file *file);

/* How many paths there are, and what they are marked with; before anything else is asked. */
void select_paths_init(const u32 *marks, u32 count);
u32 select_paths_count(void);
u32 select_path_mark(u32 path);
/* For a flow without a place, and by the rule: the same for each of its packets. */
u32 select_path_of(u64 key);
/* For a new flow: by the network where there is one, but for the control share. */
u32 select_path_choose(u64 key, u64 now_ns);
/* What a flow's socket knows of its path. */
struct select_feedback {
	u64 rtt_ns;
	u32 delivered;
	bool marked;
	bool lost;
};
void select_path_feedback(u32 path, const struct select_feedback *feedback, u64 now_ns);
/* A packet leaves by it; what its flow has under way became more or less. */
void select_path_depart(u32 path, u32 bytes, s64 in_flight, u64 now_ns);
void select_paths_show(struct seq_file *file);

/* Whether the flow stays on the rule to compare the network with. */
static inline bool select_control(u64 key)
{
	return ((key >> 16) & 0xffff) < weir_shares_now().control;
}

#endif
