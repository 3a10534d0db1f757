/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a network that predicts flow sizes is shown, integer for integer as docs/features.md, section 12, defines it (version
 * 1); features/src/size.rs is the reference. A row here is not clipped: a snapshot's first step clips each input to the
 * bounds that its schema names (weir_quantise()).
 */
#ifndef WEIR_SIZES_H
#define WEIR_SIZES_H

#include "weir_features.h"

#define WEIR_SIZE_INPUTS 12
/* Flow sizes remembered of a peer. */
#define WEIR_PEER_SIZES 5

/* What the flows of one peer did. All zero in the beginning. */
struct weir_peer {
	u64 last_ns;
	/* The oldest is the next to be replaced; logarithms. */
	s32 sizes[WEIR_PEER_SIZES];
	s32 mean;
	u32 in_flight;
	u8 known;
	u8 oldest;
	bool begun;
};

/* A flow's first data segment. */
struct weir_first {
	u16 payload_len;
	/* The lesser of the connection's two ports. */
	u16 service_port;
	/* Its sender has that port. */
	bool serving;
};

/* Binary digits of x, 0 to 64. */
static inline u32 weir_bits64(u64 x)
{
	u32 high = (u32)(x >> 32);

	return high ? 32 + weir_bits(high) : weir_bits((u32)x);
}

/* The binary logarithm in 1/65536, exact at powers of two and straight between; 0 for 0. */
static inline u64 weir_log2(u64 x)
{
	u32 whole;

	if (!x)
		return 0;
	whole = weir_bits64(x) - 1;
	return ((u64)whole << 16) + (whole >= 16 ? x >> (whole - 16) : x << (16 - whole)) - WEIR_ONE;
}

/* log2(1 + x) in 1/65536 */
static inline s32 weir_log2_1p(u64 x)
{
	return (s32)weir_log2(x == ~0ULL ? x : x + 1);
}

/* The bytes whose weir_log2_1p() this is, rounded down. */
static inline u64 weir_bytes_of_log2(s32 log)
{
	u32 whole = (u32)log >> 16;
	u64 mantissa = WEIR_ONE + ((u32)log & (WEIR_ONE - 1));

	if (log <= 0)
		return 0;
	if (whole > 62)
		return ~0ULL - 1;
	return (whole < 16 ? mantissa >> (16 - whole) : mantissa << (whole - 16)) - 1;
}

/* A flow begins. Read its row first: the flow is none of its own history. */
static inline void weir_peer_begin(struct weir_peer *peer, u64 now_ns)
{
	peer->last_ns = now_ns;
	peer->begun = true;
	if (peer->in_flight != 0xffffffff)
		peer->in_flight++;
}

/* A flow has ended; `whole` says that all of it was seen, all `bytes`. */
static inline void weir_peer_end(struct weir_peer *peer, bool whole, u64 bytes)
{
	s32 size;

	if (peer->in_flight)
		peer->in_flight--;
	if (!whole)
		return;
	size = weir_log2_1p(bytes);
	if (!peer->known)
		peer->mean = size;
	else if (size >= peer->mean)
		peer->mean += (size - peer->mean) >> 3;
	else
		peer->mean -= (peer->mean - size) >> 3;
	if (peer->oldest < WEIR_PEER_SIZES)
		peer->sizes[peer->oldest] = size;
	peer->oldest = peer->oldest + 1 < WEIR_PEER_SIZES ? peer->oldest + 1 : 0;
	if (peer->known < WEIR_PEER_SIZES)
		peer->known++;
}

/* The row of a flow whose first data segment is `first`: WEIR_SIZE_INPUTS numbers. */
static inline void weir_size_row(const struct weir_first *first, const struct weir_peer *peer, u64 now_ns, s32 *row)
{
	u32 i;

	row[0] = weir_log2_1p(first->payload_len);
	row[1] = first->service_port < 1024 ? 0 : first->service_port < 32768 ? WEIR_ONE : 2 * WEIR_ONE;
	row[2] = first->serving ? WEIR_ONE : 0;
	row[3] = peer->begun ? weir_log2_1p(weir_div(weir_since(now_ns, peer->last_ns), 1000)) : 32 * WEIR_ONE;
	row[4] = weir_log2_1p(peer->in_flight);
	row[5] = peer->known * WEIR_ONE;
	row[6] = peer->mean;
	/* The newest first. */
	for (i = 0; i < WEIR_PEER_SIZES; i++) {
		u32 at = (peer->oldest + 2U * WEIR_PEER_SIZES - 1 - i) % WEIR_PEER_SIZES;

		row[7 + i] = i < peer->known ? peer->sizes[at] : 0;
	}
}

#endif
