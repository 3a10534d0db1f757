/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* What the files of weir_aurora say to each other: TCP's side (weir_aurora_main.c), decisions (weir_aurora_decide.c). */
#ifndef WEIR_AURORA_H
#define WEIR_AURORA_H

#include <net/tcp.h>
#include "weir_brake.h"
#include "weir_core.h"
#include "weir_longer.h"

/* A flow's rate before its first decision: that of conf/adaptive.toml. */
#define RATE_START 10000000ULL
/* What a segment has on the wire besides its payload: Ethernet, IPv4 and TCP with timestamps. */
#define HEADER_BYTES 66
/* Intervals of the rule's memory, and of one turn of its gains. */
#define RULE_INTERVALS 10
#define RULE_GAINS 8

enum share {
	SHARE_NONE,
	SHARE_CONTROL,
	SHARE_EXPLORE,
	SHARE_SAMPLE,
};

/* A flow, on the heap. */
struct flow {
	struct weir_interval mi;
	struct weir_base base;
	struct weir_history history;
	struct weir_binding binding;
	struct weir_brake brake;
	struct weir_longer longer;
	/* When the binding was made. */
	u64 bound_ns;
	u64 id;
	u64 rate_bps;
	/* Delivery rates of the last intervals, newest at rule_at - 1. */
	u64 delivered_bps[RULE_INTERVALS];
	u32 rule_at;
	u32 segments_out;
	u32 acks;
	u32 acks_app_limited;
	s32 output;
	s32 action;
	s32 noise;
	u32 sigma;
	u8 share;
	/* The rate of the open interval was decided at its beginning. */
	bool decided;
	bool by_model;
};

/* Under pin=flow a flow keeps its generation for so many ms at most. */
extern bool aurora_pin_flow;
extern unsigned int aurora_pin_max_ms;

static inline u64 now_ns(const struct tcp_sock *tp)
{
	return (u64)tp->tcp_mstamp * NSEC_PER_USEC;
}

static inline u32 wire_bytes(const struct tcp_sock *tp)
{
	return tp->mss_cache + HEADER_BYTES;
}

/* What is done with a flow of this id: drawn from it. */
enum share aurora_draw_share(u64 id, const struct weir_shares *shares);
/* Sets the socket's rate and window, within the guard's bounds. */
void aurora_set_rate(struct sock *sk, struct flow *flow, u64 rate_bps);
void aurora_open_interval(struct sock *sk, struct flow *flow);
/* An interval that is due: its features, a decision, the next interval. */
void aurora_end_interval(struct sock *sk, struct flow *flow);

#endif
