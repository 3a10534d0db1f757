/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the core and user space say to each other over generic netlink: family "weir", version 1. `weir kernel-trainer` speaks
 * it: dataplane/shell/src/kernel/ has the other half.
 */
#ifndef WEIR_UAPI_H
#define WEIR_UAPI_H

#include <linux/types.h>

#define WEIR_GENL_NAME "weir"
#define WEIR_GENL_VERSION 1

enum {
	WEIR_CMD_UNSPEC,
	/* Dump: for each function a message with what is active and what is previous. */
	WEIR_CMD_STATUS,
	/*
	 * Installs a snapshot from its file, in pieces: TOTAL and EXPECT with the first piece (OFFSET 0), OFFSET and DATA with each,
	 * one after the other. The last piece decodes, checks the schema and publishes; its answer is the new GENERATION.
	 */
	WEIR_CMD_INSTALL,
	/* Publishes a compiled snapshot that is loaded: CHECKSUM, EXPECT. */
	WEIR_CMD_ACTIVATE,
	/* Publishes the previous snapshot anew, as a generation of its own: FUNCTION, EXPECT. */
	WEIR_CMD_ROLLBACK,
	/* Takes both generations back: flows go by the rule. FUNCTION, EXPECT. */
	WEIR_CMD_WITHDRAW,
	/* Dump: takes the samples out of the ring, as many to a message as fit. */
	WEIR_CMD_SAMPLES,
	/* Sets SHARES, all or nothing. */
	WEIR_CMD_SETTINGS,
	__WEIR_CMD_MAX,
};
#define WEIR_CMD_MAX (__WEIR_CMD_MAX - 1)

enum {
	WEIR_A_UNSPEC,
	WEIR_A_PAD,
	WEIR_A_FUNCTION,	/* u32 */
	WEIR_A_GENERATION,	/* u32: of the active one; 0 for none */
	WEIR_A_PREVIOUS,	/* u32 */
	WEIR_A_NAME,		/* string */
	WEIR_A_CHECKSUM,	/* u32 */
	WEIR_A_SCHEMA,		/* u64 */
	WEIR_A_TOTAL,		/* u32: bytes of the file */
	WEIR_A_OFFSET,		/* u32 */
	WEIR_A_DATA,		/* bytes */
	/*
	 * u32: the generation that the caller believes active. With another one the command is refused (ESTALE): two operators never
	 * undo each other unseen.
	 */
	WEIR_A_EXPECT,
	WEIR_A_SAMPLE,		/* struct weir_sample */
	WEIR_A_LOST,		/* u64: samples that found the ring full, ever */
	WEIR_A_SHARES,		/* struct weir_shares */
	WEIR_A_RULE,		/* struct weir_rule; docs/features.md's defaults without it */
	WEIR_A_AFFINE,		/* u64: scale and offset of each feature, the bits of doubles; 1 and 0 without it */
	__WEIR_A_MAX,
};
#define WEIR_A_MAX (__WEIR_A_MAX - 1)

/* Who chose the rate of a sampled interval. */
enum {
	WEIR_SOURCE_MODEL,
	WEIR_SOURCE_EXPLORED,
	WEIR_SOURCE_CONTROL,
};

/* weir_features::Sample, field by field; times in ns, rates in bit/s. */
struct weir_sample {
	__u64 schema_hash;
	__u64 flow;
	__u64 rate_bps;
	__u64 at_ns;
	__u64 duration_ns;
	__u64 sent_bytes;
	__u64 acked_bytes;
	__u64 lost_bytes;
	__u64 rtt_ns;
	__u64 base_rtt_ns;
	__u32 source;
	__u32 generation;
	__s32 features[30];
	__s32 output_q16;
	__s32 action_q16;
	__s32 noise_q16;
	__u32 sigma_q16;
};

/* What of struct weir_spec (weir_features.h) a snapshot's file does not say. */
struct weir_rule {
	__u64 rtt_floor_ns;
	__u64 interval_min_ns;
	__u64 interval_max_ns;
	__u32 interval_rtt_q8;
	__u32 interval_packets_min;
};

/* Shares of the flows in 1/65536, and the deviation of what explorers add, in 1/65536 of an action. */
struct weir_shares {
	__u32 control;
	__u32 explore;
	__u32 sample;
	__u32 sigma_q16;
};

#endif
