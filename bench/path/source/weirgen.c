/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * net_weirgen: two DPDK ports with a simulated TCP network on each, in one process, polled by one core. The path bench
 * loads it into Weir, testpmd and l3fwd alike, so that all are fed the same frames at the same cost.
 *
 *   net_weirgen0  the hosts inside: SYNs, then data in trains, flow after flow
 *   net_weirgen1  the network outside: SYN-ACKs, and an ACK for every train, one round-trip time after it was sent
 *
 * Frames are written into buffers that were freed a moment before and are still in the first-level cache. With copy=1
 * (net_null has the same) a port also copies each frame in from, and out to, memory of its own, as the virtual devices
 * that carry real frames do. With cold=1 each frame is written back to memory instead, where a card leaves it that does not
 * write into caches. 60 bytes in memory, 64 with the FCS: data segments carry 6 bytes, ACKs none and 6 bytes of padding; TCP options do not fit. IP
 * checksums are right; TCP checksums are zero, nobody here looks. Data never runs out: a poll gets as many frames as it
 * asks for. An ACK acknowledges what was transmitted on port 1, never what was only offered.
 *
 * No state is kept per flow, so feeding a million costs what feeding a thousand does: a flow's numbers follow from its
 * index and the round, and what a frame is travels in the buffer's field for the receive hash, which no peer touches.
 *
 * With neighbours=<n> stations that send also speak ARP, for a router: inside 192.0.2.2, behind which the hosts are; outside
 * the network's server itself, 198.51.100.1, and the n - 1 addresses that follow, which are ways to it. Each asks for the router
 * (192.0.2.1, 198.51.100.254) before anything else is sent, so that it is known, and answers when asked. The router's own
 * addresses are those to which all frames go. What a program makes itself is not counted.
 *
 * Counters are in a mapped file ("board"), so that all peers are counted in one way, at transmission.
 */
#include <fcntl.h>
#include <immintrin.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_kvargs.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>

#define FRAME_LEN 60
#define PAYLOAD_LEN 6
#define BURST_MAX 64
/* Connections in handshake at once. */
#define OPENING_MAX 1024
/* Tokens per timestamp. */
#define STAMPED 64

enum side { INSIDE, OUTSIDE };

/* What a frame is: in the upper byte of the word that also names its flow. MIDDLE is data of a train that goes on. */
enum kind { SYN = 1, SYN_ACK, FIRST, MIDDLE, LAST, ACK };
#define KIND_SHIFT 24
#define FLOWS_MAX (1u << KIND_SHIFT)

/* Read by bench/path: keep in step with board.rs. */
struct board {
	uint64_t version;
	/* Of the thread that polls. */
	uint64_t thread;
	/* Flows whose handshake is complete. */
	uint64_t established;
	uint64_t received[2];
	uint64_t transmitted[2];
	/* Acknowledgements given up because the line was full. */
	uint64_t lost;
};

struct token {
	uint32_t frame;
	uint32_t ack;
};

/* Trains on their way to the other end and back. */
struct line {
	struct token *tokens;
	uint64_t *sent_at;
	uint32_t mask, head, tail;
};

static struct {
	struct board *board;
	struct rte_mempool *pool[2];
	uint32_t flows, stride, train;
	bool copy, cold;
	/* By side the stations that have an ARP frame to send, as bits by the last part of their address, and of which kind. */
	uint32_t to_say[2];
	uint8_t operation;
	uint64_t rtt_cycles;
	/* Steady state: the next data frame. */
	uint32_t flow, round, in_train;
	uint32_t next[2], next_out[2];
	/* Handshakes. */
	uint32_t opened;
	uint32_t replies[4 * OPENING_MAX], replies_head, replies_tail;
	uint32_t firsts[4 * OPENING_MAX], firsts_head, firsts_tail;
	struct line line;
} gen;

static struct board no_board;

/* One side of a flow's frame: Ethernet, IPv4, TCP, padding. All fields in network order. */
struct frame {
	uint8_t ethernet[14];
	uint8_t version, tos;
	uint16_t total_len, id, fragment;
	uint8_t ttl, protocol;
	uint16_t checksum;
	uint32_t source, destination;
	uint16_t source_port, destination_port;
	uint32_t seq, ack;
	uint8_t offset, flags;
	uint16_t window, tcp_checksum, urgent;
	uint8_t payload[10];
} __attribute__((packed));

static struct frame templates[2][2] __rte_cache_aligned;

/* Where copied frames come from and go to: as many as a port's ring has. */
#define WIRE 1024
static union slot {
	struct frame frame;
	uint8_t bytes[64];
} wire[2][WIRE] __rte_cache_aligned, wire_out[2][WIRE] __rte_cache_aligned;

static const uint8_t macs[2][6] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };

static uint16_t ip_checksum(const struct frame *frame)
{
	const uint16_t *words = (const uint16_t *)(const void *)&frame->version;
	uint32_t sum = 0;

	for (int i = 0; i < 10; i++)
		sum += words[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void make_templates(void)
{
	for (int side = 0; side < 2; side++) {
		for (int payload = 0; payload < 2; payload++) {
			struct frame *frame = &templates[side][payload];

			memset(frame, 0, sizeof(*frame));
			memcpy(frame->ethernet, macs[!side], 6);
			memcpy(frame->ethernet + 6, macs[side], 6);
			frame->ethernet[12] = 0x08;
			frame->version = 0x45;
			frame->total_len = rte_cpu_to_be_16(40 + (payload ? PAYLOAD_LEN : 0));
			frame->fragment = rte_cpu_to_be_16(0x4000);
			frame->ttl = 64;
			frame->protocol = 6;
			frame->offset = 5 << 4;
			frame->window = rte_cpu_to_be_16(65000);
			if (side == INSIDE) {
				frame->source = rte_cpu_to_be_32(10u << 24);
				frame->destination = rte_cpu_to_be_32(0xc6336401); /* 198.51.100.1 */
				frame->destination_port = rte_cpu_to_be_16(443);
			} else {
				frame->source = rte_cpu_to_be_32(0xc6336401);
				frame->destination = rte_cpu_to_be_32(10u << 24);
				frame->source_port = rte_cpu_to_be_16(443);
			}
			frame->checksum = ip_checksum(frame);
		}
	}
}

struct arp {
	uint8_t destination[6], source[6], head[9], operation;
	uint8_t sender_mac[6], sender[4], target_mac[6], target[4], padding[18];
} __attribute__((packed));

enum arp_operation { REQUEST = 1, REPLY };

static uint16_t say(struct rte_mbuf *mbuf, enum side side)
{
	static const uint8_t stations[2][4] = { { 192, 0, 2, 0 }, { 198, 51, 100, 0 } };
	static const uint8_t routers[2][4] = { { 192, 0, 2, 1 }, { 198, 51, 100, 254 } };
	/* ARP; Ethernet, IPv4, the lengths of their addresses; the operation's upper byte. */
	static const uint8_t head[9] = { 8, 6, 0, 1, 8, 0, 6, 4, 0 };
	const uint8_t station = (uint8_t)rte_bsf32(gen.to_say[side]);
	struct arp *frame;

	mbuf->data_off = RTE_PKTMBUF_HEADROOM;
	frame = rte_pktmbuf_mtod(mbuf, struct arp *);
	memset(frame, 0, sizeof(*frame));
	memcpy(frame->destination, macs[!side], 6);
	memcpy(frame->source, macs[side], 6);
	memcpy(frame->head, head, sizeof(head));
	frame->operation = gen.operation;
	memcpy(frame->sender_mac, macs[side], 6);
	memcpy(frame->sender, stations[side], 4);
	frame->sender[3] = station;
	memcpy(frame->target_mac, macs[!side], 6);
	memcpy(frame->target, routers[side], 4);
	mbuf->port = side;
	mbuf->ol_flags = 0;
	mbuf->packet_type = RTE_PTYPE_L2_ETHER_ARP;
	mbuf->pkt_len = sizeof(*frame);
	mbuf->data_len = sizeof(*frame);
	mbuf->hash.fdir.lo = 0;
	gen.to_say[side] &= ~(1u << station);
	return 1;
}

/* A frame that the program made: of those only questions want something. */
static void hear(const struct rte_mbuf *mbuf, enum side side)
{
	const struct arp *frame = rte_pktmbuf_mtod(mbuf, const struct arp *);

	if (frame->head[0] == 8 && frame->head[1] == 6 && frame->operation == REQUEST && frame->target[3] < 32) {
		gen.operation = REPLY;
		gen.to_say[side] |= 1u << frame->target[3];
	}
}

static inline uint32_t first_seq(uint32_t flow)
{
	return flow * 0x9e3779b1u + 0x1000;
}

/* Writes frame `kind` of `flow` into a fresh buffer. `seq` is the inside end's number: sent, or acknowledged. */
static __rte_always_inline void
fill(struct rte_mbuf *mbuf, enum side side, uint16_t port, uint32_t flow, enum kind kind, uint8_t flags, bool payload,
     uint32_t seq)
{
	struct frame *frame = gen.copy ? &wire[side][gen.next[side]++ % WIRE].frame : rte_pktmbuf_mtod(mbuf, struct frame *);
	const uint32_t host = rte_cpu_to_be_32((10u << 24) | flow);
	const uint16_t host_port = rte_cpu_to_be_16(0x4000 | (flow & 0x3fff));
	const uint32_t peer_seq = ~first_seq(flow);
	uint32_t words = (flow >> 16) + (flow & 0xffff);

	rte_mov64((uint8_t *)frame, (const uint8_t *)&templates[side][payload]);
	/* The inverse of what the host's address adds to the header's sum: one checksum suits all. */
	words = (words & 0xffff) + (words >> 16);
	frame->id = rte_cpu_to_be_16((uint16_t)~words);
	frame->flags = flags;
	if (side == INSIDE) {
		frame->source = host;
		frame->source_port = host_port;
		frame->seq = rte_cpu_to_be_32(seq);
		frame->ack = rte_cpu_to_be_32(kind == SYN ? 0 : peer_seq + 1);
	} else {
		frame->destination = host;
		frame->destination_port = host_port;
		frame->seq = rte_cpu_to_be_32(kind == SYN_ACK ? peer_seq : peer_seq + 1);
		frame->ack = rte_cpu_to_be_32(seq);
	}
	if (gen.copy)
		rte_memcpy(rte_pktmbuf_mtod(mbuf, void *), frame, FRAME_LEN);
	mbuf->data_off = RTE_PKTMBUF_HEADROOM;
	mbuf->port = port;
	mbuf->ol_flags = 0;
	mbuf->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	mbuf->pkt_len = FRAME_LEN;
	mbuf->data_len = FRAME_LEN;
	mbuf->hash.fdir.lo = (uint32_t)kind << KIND_SHIFT | flow;
	/* What acknowledges it. */
	mbuf->hash.fdir.hi = seq + (kind == SYN ? 1 : PAYLOAD_LEN);
}

static inline bool steady(void)
{
	return gen.board->established == gen.flows;
}

static uint16_t open_inside(struct rte_mbuf **mbufs, uint16_t port, uint16_t count)
{
	uint16_t made = 0;

	for (; made < count; made++) {
		if (gen.firsts_head != gen.firsts_tail) {
			uint32_t flow = gen.firsts[gen.firsts_head++ % RTE_DIM(gen.firsts)];

			fill(mbufs[made], INSIDE, port, flow, FIRST, 0x18, true, first_seq(flow) + 1);
		} else if (gen.opened < gen.flows && gen.opened - gen.board->established < OPENING_MAX) {
			uint32_t flow = gen.opened++;

			fill(mbufs[made], INSIDE, port, flow, SYN, 0x02, false, first_seq(flow));
		} else {
			break;
		}
	}
	return made;
}

static uint16_t open_outside(struct rte_mbuf **mbufs, uint16_t port, uint16_t count)
{
	uint16_t made = 0;

	for (; made < count && gen.replies_head != gen.replies_tail; made++) {
		uint32_t frame = gen.replies[gen.replies_head++ % RTE_DIM(gen.replies)];
		uint32_t flow = frame & (FLOWS_MAX - 1);

		if (frame >> KIND_SHIFT == SYN) {
			fill(mbufs[made], OUTSIDE, port, flow, SYN_ACK, 0x12, false, first_seq(flow) + 1);
		} else {
			fill(mbufs[made], OUTSIDE, port, flow, ACK, 0x10, false, first_seq(flow) + 1 + PAYLOAD_LEN);
			gen.board->established++;
		}
	}
	return made;
}

static uint16_t data(struct rte_mbuf **mbufs, uint16_t port, uint16_t count)
{
	for (uint16_t i = 0; i < count; i++) {
		bool last = gen.in_train + 1 == gen.train;
		uint32_t sent = (gen.round * gen.train + gen.in_train + 1) * PAYLOAD_LEN;

		fill(mbufs[i], INSIDE, port, gen.flow, last ? LAST : MIDDLE, 0x10, true, first_seq(gen.flow) + 1 + sent);
		gen.in_train++;
		if (!last)
			continue;
		gen.in_train = 0;
		/* Every flow once a round, in an order that no prefetcher foresees. */
		gen.flow += gen.stride;
		if (gen.flow >= gen.flows)
			gen.flow -= gen.flows;
		gen.round += gen.flow == 0;
	}
	return count;
}

static uint16_t acknowledgements(struct rte_mbuf **mbufs, uint16_t port, uint16_t count)
{
	struct line *line = &gen.line;
	const uint64_t due = rte_rdtsc() - gen.rtt_cycles;
	uint16_t made = 0;

	while (made < count && line->head != line->tail) {
		uint32_t at = line->head & line->mask;

		if ((int64_t)(due - line->sent_at[at / STAMPED]) < 0)
			break;
		fill(mbufs[made], OUTSIDE, port, line->tokens[at].frame & (FLOWS_MAX - 1), ACK, 0x10, false,
		     line->tokens[at].ack);
		line->head++;
		made++;
	}
	return made;
}

/* A frame that a card has written: its buffer's description is in the cache, for a driver has just made it up, and it itself
 * is not. */
static inline void to_memory(void *frame)
{
#ifdef __CLFLUSHOPT__
	_mm_clflushopt(frame);
#else
	_mm_clflush(frame);
#endif
}

static uint16_t receive(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	const enum side side = (enum side)(uintptr_t)queue;
	uint16_t made;

	count = RTE_MIN(count, BURST_MAX);
	if (unlikely(gen.board->thread == 0))
		gen.board->thread = (uint64_t)syscall(SYS_gettid);
	if (unlikely(rte_mempool_get_bulk(gen.pool[side], (void **)mbufs, count) != 0))
		return 0;
	/* Ports are numbered in the order in which they were made: inside, outside. */
	if (unlikely((gen.to_say[INSIDE] | gen.to_say[OUTSIDE]) != 0)) {
		/* Nobody sends before all are known. */
		made = gen.to_say[side] != 0 ? say(mbufs[0], side) : 0;
		rte_mempool_put_bulk(gen.pool[side], (void **)(mbufs + made), count - made);
		return made;
	}
	if (likely(steady()))
		made = side == INSIDE ? data(mbufs, INSIDE, count) : acknowledgements(mbufs, OUTSIDE, count);
	else
		made = side == INSIDE ? open_inside(mbufs, INSIDE, count) : open_outside(mbufs, OUTSIDE, count);
	if (made < count)
		rte_mempool_put_bulk(gen.pool[side], (void **)(mbufs + made), count - made);
	if (gen.cold)
		for (uint16_t i = 0; i < made; i++)
			to_memory(rte_pktmbuf_mtod(mbufs[i], void *));
	gen.board->received[side] += made;
	return made;
}

static inline void to_line(const struct rte_mbuf *mbuf, uint64_t now)
{
	struct line *line = &gen.line;
	uint32_t at = line->tail & line->mask;

	if (unlikely(line->tail - line->head > line->mask - STAMPED)) {
		gen.board->lost++;
		return;
	}
	line->tokens[at].frame = mbuf->hash.fdir.lo;
	line->tokens[at].ack = mbuf->hash.fdir.hi;
	line->sent_at[at / STAMPED] = now;
	line->tail++;
}

/* Takes everything. Buffers go back together, as drivers do it with RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE: all are whole,
 * unshared and of one pool. */
static uint16_t transmit(void *queue, struct rte_mbuf **mbufs, uint16_t count)
{
	const enum side side = (enum side)(uintptr_t)queue;
	const uint64_t now = rte_rdtsc();
	uint16_t own = 0;

	if (count == 0)
		return 0;
	for (uint16_t i = 0; i < count; i++) {
		uint32_t frame = mbufs[i]->hash.fdir.lo;

		/* As every allocation leaves it. */
		if (unlikely(mbufs[i]->port == RTE_MBUF_PORT_INVALID)) {
			hear(mbufs[i], side);
			own++;
			continue;
		}
		if (gen.copy)
			rte_memcpy(&wire_out[side][gen.next_out[side]++ % WIRE], rte_pktmbuf_mtod(mbufs[i], void *), FRAME_LEN);
		switch (frame >> KIND_SHIFT) {
		case LAST:
			to_line(mbufs[i], now);
			break;
		case SYN:
		case FIRST:
			gen.replies[gen.replies_tail++ % RTE_DIM(gen.replies)] = frame;
			break;
		case SYN_ACK:
			gen.firsts[gen.firsts_tail++ % RTE_DIM(gen.firsts)] = frame & (FLOWS_MAX - 1);
			break;
		default:
			break;
		}
	}
	rte_mempool_put_bulk(mbufs[0]->pool, (void **)mbufs, count);
	gen.board->transmitted[side] += count - own;
	return count;
}

/* --- the rest is what a driver must have --- */

static int configure(struct rte_eth_dev *dev __rte_unused)
{
	return 0;
}

static int start(struct rte_eth_dev *dev)
{
	dev->data->dev_link.link_status = RTE_ETH_LINK_UP;
	return 0;
}

static int stop(struct rte_eth_dev *dev)
{
	dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
	return 0;
}

static int set_up_rx(struct rte_eth_dev *dev, uint16_t queue, uint16_t descriptors __rte_unused,
		     unsigned int socket __rte_unused, const struct rte_eth_rxconf *config __rte_unused,
		     struct rte_mempool *pool)
{
	gen.pool[dev->data->port_id] = pool;
	dev->data->rx_queues[queue] = (void *)(uintptr_t)dev->data->port_id;
	return 0;
}

static int set_up_tx(struct rte_eth_dev *dev, uint16_t queue, uint16_t descriptors __rte_unused,
		     unsigned int socket __rte_unused, const struct rte_eth_txconf *config __rte_unused)
{
	dev->data->tx_queues[queue] = (void *)(uintptr_t)dev->data->port_id;
	return 0;
}

static int info(struct rte_eth_dev *dev __rte_unused, struct rte_eth_dev_info *into)
{
	into->max_mac_addrs = 1;
	into->max_rx_pktlen = UINT16_MAX;
	into->max_rx_queues = 1;
	into->max_tx_queues = 1;
	into->min_rx_bufsize = 0;
	into->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	return 0;
}

static const uint32_t *packet_types(struct rte_eth_dev *dev __rte_unused)
{
	/* What l3fwd asks for before it trusts a port's classification. */
	static const uint32_t types[] = { RTE_PTYPE_L2_ETHER,	 RTE_PTYPE_L3_IPV4, RTE_PTYPE_L3_IPV4_EXT,
					  RTE_PTYPE_L3_IPV6_EXT, RTE_PTYPE_L4_TCP,  RTE_PTYPE_L4_UDP,
					  RTE_PTYPE_UNKNOWN };

	return types;
}

static int statistics(struct rte_eth_dev *dev, struct rte_eth_stats *into)
{
	into->ipackets = gen.board->received[dev->data->port_id];
	into->opackets = gen.board->transmitted[dev->data->port_id];
	into->ibytes = into->ipackets * FRAME_LEN;
	into->obytes = into->opackets * FRAME_LEN;
	return 0;
}

static int set_mode(struct rte_eth_dev *dev __rte_unused)
{
	return 0;
}

static int set_mac(struct rte_eth_dev *dev __rte_unused, struct rte_ether_addr *address __rte_unused)
{
	return 0;
}

static int set_mtu(struct rte_eth_dev *dev __rte_unused, uint16_t mtu __rte_unused)
{
	return 0;
}

static int refresh_link(struct rte_eth_dev *dev __rte_unused, int wait __rte_unused)
{
	return 0;
}

static int shut(struct rte_eth_dev *dev)
{
	/* A static array, not the library's to free. */
	dev->data->mac_addrs = NULL;
	return 0;
}

static const struct eth_dev_ops operations = {
	.dev_configure = configure,
	.dev_start = start,
	.dev_stop = stop,
	.dev_close = shut,
	.dev_infos_get = info,
	.dev_supported_ptypes_get = packet_types,
	.rx_queue_setup = set_up_rx,
	.tx_queue_setup = set_up_tx,
	.stats_get = statistics,
	.promiscuous_enable = set_mode,
	.promiscuous_disable = set_mode,
	.allmulticast_enable = set_mode,
	.allmulticast_disable = set_mode,
	.mac_addr_set = set_mac,
	.mtu_set = set_mtu,
	.link_update = refresh_link,
};

static int read_number(const char *key __rte_unused, const char *value, void *into)
{
	*(uint64_t *)into = strtoull(value, NULL, 10);
	return 0;
}

static int open_board(const char *key __rte_unused, const char *value, void *unused __rte_unused)
{
	int file = open(value, O_RDWR | O_CREAT | O_TRUNC, 0644);
	void *page;

	if (file < 0 || ftruncate(file, 4096) != 0)
		return -1;
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
	close(file);
	if (page == MAP_FAILED)
		return -1;
	gen.board = page;
	gen.board->version = 1;
	return 0;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	return b == 0 ? a : gcd(b, a % b);
}

static int prepare(const char *arguments)
{
	static const char *const keys[] = { "flows", "rtt_us", "train", "copy", "cold", "neighbours", "board", NULL };
	uint64_t flows = 1000, rtt_us = 10000, train = 1, copy = 0, cold = 0, neighbours = 0, tokens;
	struct rte_kvargs *given = rte_kvargs_parse(arguments, keys);
	int failed = given == NULL;

	gen.board = &no_board;
	if (!failed) {
		failed |= rte_kvargs_process(given, "flows", read_number, &flows) != 0;
		failed |= rte_kvargs_process(given, "rtt_us", read_number, &rtt_us) != 0;
		failed |= rte_kvargs_process(given, "train", read_number, &train) != 0;
		failed |= rte_kvargs_process(given, "copy", read_number, &copy) != 0;
		failed |= rte_kvargs_process(given, "cold", read_number, &cold) != 0;
		failed |= rte_kvargs_process(given, "neighbours", read_number, &neighbours) != 0;
		failed |= rte_kvargs_process(given, "board", open_board, NULL) != 0;
		rte_kvargs_free(given);
	}
	if (failed || flows == 0 || flows >= FLOWS_MAX || rtt_us > 1000000 || train == 0 || train > 64 ||
	    neighbours > 8)
		return -EINVAL;
	gen.flows = (uint32_t)flows;
	gen.train = (uint32_t)train;
	gen.copy = copy != 0;
	gen.cold = cold != 0;
	gen.to_say[INSIDE] = neighbours ? 1u << 2 : 0;
	gen.to_say[OUTSIDE] = ((1u << neighbours) - 1) << 1;
	gen.operation = REQUEST;
	/* The golden ratio of all flows: neighbours in time are far apart in every table. */
	gen.stride = RTE_MAX((uint32_t)(flows * 0.6180339887), 1u);
	while (gcd(gen.stride, gen.flows) != 1)
		gen.stride++;
	gen.rtt_cycles = rte_get_tsc_hz() / 1000000 * rtt_us;
	/* 250 million trains a second are more than a core can take. */
	tokens = rte_align64pow2(RTE_MAX(250 * rtt_us, (uint64_t)4096));
	gen.line.mask = (uint32_t)tokens - 1;
	gen.line.tokens = rte_zmalloc(NULL, tokens * sizeof(struct token), 64);
	gen.line.sent_at = rte_zmalloc(NULL, tokens / STAMPED * sizeof(uint64_t), 64);
	if (gen.line.tokens == NULL || gen.line.sent_at == NULL)
		return -ENOMEM;
	make_templates();
	return 0;
}

static struct rte_ether_addr addresses[2] = { { { 2, 0, 0, 0, 0, 0x11 } }, { { 2, 0, 0, 0, 0, 0x12 } } };

static int probe(struct rte_vdev_device *device)
{
	struct rte_eth_dev *dev = rte_eth_vdev_allocate(device, 0);
	int failed;

	if (dev == NULL)
		return -ENOMEM;
	if (dev->data->port_id > OUTSIDE)
		return -EINVAL;
	if (dev->data->port_id == INSIDE) {
		failed = prepare(rte_vdev_device_args(device));
		if (failed != 0)
			return failed;
	}
	dev->data->mac_addrs = &addresses[dev->data->port_id];
	dev->data->dev_link = (struct rte_eth_link){ .link_speed = RTE_ETH_SPEED_NUM_10G,
						     .link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
						     .link_status = RTE_ETH_LINK_DOWN };
	dev->data->promiscuous = 1;
	dev->dev_ops = &operations;
	dev->rx_pkt_burst = receive;
	dev->tx_pkt_burst = transmit;
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int leave(struct rte_vdev_device *device __rte_unused)
{
	return 0;
}

static struct rte_vdev_driver driver = { .probe = probe, .remove = leave };

RTE_PMD_REGISTER_VDEV(net_weirgen, driver);
RTE_PMD_REGISTER_PARAM_STRING(net_weirgen, "flows=<n> rtt_us=<n> train=<n> copy=<0|1> neighbours=<n> board=<file>");
