/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The integer types of the portable headers (weir_arith.h, weir_features.h, weir_table.c), which are the same text in the
 * kernel, in a BPF program (which includes vmlinux.h first) and in user space, where the tests compile them.
 */
#ifndef WEIR_TYPES_H
#define WEIR_TYPES_H

#if defined(__KERNEL__)
#include <linux/math64.h>
#include <linux/types.h>
#elif !defined(__bpf__)
#include <stdbool.h>
#include <stddef.h>
typedef signed char s8;
typedef unsigned char u8;
typedef short s16;
typedef unsigned short u16;
typedef int s32;
typedef unsigned int u32;
typedef long long s64;
typedef unsigned long long u64;
#endif

#ifndef __maybe_unused
#define __maybe_unused __attribute__((__unused__))
#endif

/* a / b, rounded down; b is not 0. A 32-bit kernel has no such operator. */
static inline u64 weir_div(u64 a, u64 b)
{
#if defined(__KERNEL__)
	return div64_u64(a, b);
#else
	return a / b;
#endif
}

#endif
