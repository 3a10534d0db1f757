/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The kernel's structures, as far as these programs read them. Only names matter: libbpf finds each field's place in the
 * running kernel's BTF when it loads a program (CO-RE), so one object serves every kernel, and building it needs neither
 * headers nor BTF of any.
 */
#ifndef WEIR_KERNEL_H
#define WEIR_KERNEL_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

typedef __s8 s8;
typedef __u8 u8;
typedef __s16 s16;
typedef __u16 u16;
typedef __s32 s32;
typedef __u32 u32;
typedef __s64 s64;
typedef __u64 u64;

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* include/net/sock.h */
struct sock {
	unsigned long sk_pacing_rate; /* bytes per second */
	unsigned long sk_max_pacing_rate; /* SO_MAX_PACING_RATE, or all ones */
	u32 sk_pacing_status;
};

/* include/linux/tcp.h; a socket that a congestion control is given is one of these. */
struct tcp_sock {
	u32 snd_wnd;
	u32 snd_cwnd;
	u32 srtt_us; /* eight times the smoothed round-trip time */
	u32 mss_cache;
	u32 app_limited;
	u32 delivered;
	u32 lost;
	u32 data_segs_out;
};

/* include/net/tcp.h */
struct ack_sample {
	s32 rtt_us; /* negative where this acknowledgement gives none */
};

struct tcp_congestion_ops {
	u32 flags;
	u32 (*ssthresh)(struct sock *sk);
	void (*cong_control)(struct sock *sk);
	u32 (*undo_cwnd)(struct sock *sk);
	void (*pkts_acked)(struct sock *sk, const struct ack_sample *sample);
	void (*init)(struct sock *sk);
	char name[16];
};

#pragma clang attribute pop

/* enum sk_pacing: TCP's own timer spreads segments unless the fq scheduler does. */
#define SK_PACING_NONE 0
#define SK_PACING_NEEDED 1
/* A program may choose it without privilege, in every network namespace. */
#define TCP_CONG_NON_RESTRICTED 1
/* No loss ends slow start: there is none. */
#define TCP_INFINITE_SSTHRESH 0x7fffffff

#endif
