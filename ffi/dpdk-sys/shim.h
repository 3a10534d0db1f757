/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Functions with a symbol for what DPDK offers as `static inline` or as a thread-local variable. */
#ifndef WEIR_DPDK_SHIM_H
#define WEIR_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/* rte_errno of the calling thread. */
int weir_errno(void);
/* The calling thread's lcore, LCORE_ID_ANY (UINT32_MAX) for a thread that EAL does not know. */
unsigned int weir_lcore_id(void);

struct rte_mbuf *weir_pktmbuf_alloc(struct rte_mempool *pool);
void weir_pktmbuf_free(struct rte_mbuf *frame);

/* The bursts with everything that DPDK compiled into them, callbacks included. */
uint16_t weir_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t room);
uint16_t weir_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count);

/* Takes one log message, not NUL-terminated, with its RTE_LOG_* level. May run on any thread. */
typedef void (*weir_log_sink)(int level, const char *text, size_t length);
/* Sends DPDK's log to `sink` instead of stderr and syslog. Returns 0, or -1 when there is no memory. */
int weir_log_to(weir_log_sink sink);

/* What the C compiler thinks a structure looks like: `name` is "type" (value: its size) or "type.field"
 * (value: the field's offset). The list ends with a null name. */
struct weir_layout {
	const char *name;
	size_t value;
};
extern const struct weir_layout weir_layouts[];

#endif
