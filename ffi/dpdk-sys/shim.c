/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE /* fopencookie */
#include "shim.h"

#include <stdio.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

int weir_errno(void)
{
	return rte_errno;
}

unsigned int weir_lcore_id(void)
{
	return rte_lcore_id();
}

struct rte_mbuf *weir_pktmbuf_alloc(struct rte_mempool *pool)
{
	return rte_pktmbuf_alloc(pool);
}

void weir_pktmbuf_free(struct rte_mbuf *frame)
{
	rte_pktmbuf_free(frame);
}

uint16_t weir_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t room)
{
	return rte_eth_rx_burst(port, queue, frames, room);
}

uint16_t weir_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **frames, uint16_t count)
{
	return rte_eth_tx_burst(port, queue, frames, count);
}

static weir_log_sink log_sink;

/* rte_vlog() prints one message and flushes, and remembers the message's level for the time between. */
static ssize_t log_write(void *cookie, const char *text, size_t length)
{
	(void)cookie;
	log_sink(rte_log_cur_msg_loglevel(), text, length);
	return (ssize_t)length;
}

int weir_log_to(weir_log_sink sink)
{
	static const cookie_io_functions_t functions = { .write = log_write };
	FILE *stream = fopencookie(NULL, "w", functions);

	if (stream == NULL)
		return -1;
	log_sink = sink;
	return rte_openlog_stream(stream);
}

#define SIZE(type) { #type, sizeof(struct type) }
#define FIELD(type, field) { #type "." #field, offsetof(struct type, field) }

const struct weir_layout weir_layouts[] = {
	SIZE(rte_mbuf),
	FIELD(rte_mbuf, buf_addr),
	FIELD(rte_mbuf, data_off),
	FIELD(rte_mbuf, refcnt),
	FIELD(rte_mbuf, nb_segs),
	FIELD(rte_mbuf, port),
	FIELD(rte_mbuf, ol_flags),
	FIELD(rte_mbuf, pkt_len),
	FIELD(rte_mbuf, data_len),
	FIELD(rte_mbuf, buf_len),
	FIELD(rte_mbuf, pool),
	FIELD(rte_mbuf, next),
	SIZE(rte_eth_fp_ops),
	FIELD(rte_eth_fp_ops, rx_pkt_burst),
	FIELD(rte_eth_fp_ops, rxq),
	FIELD(rte_eth_fp_ops, tx_pkt_burst),
	FIELD(rte_eth_fp_ops, txq),
	SIZE(rte_ethdev_qdata),
	FIELD(rte_ethdev_qdata, data),
	FIELD(rte_ethdev_qdata, clbk),
	SIZE(rte_eth_conf),
	FIELD(rte_eth_conf, rxmode),
	FIELD(rte_eth_conf, txmode),
	FIELD(rte_eth_conf, rx_adv_conf),
	SIZE(rte_eth_dev_info),
	FIELD(rte_eth_dev_info, driver_name),
	FIELD(rte_eth_dev_info, max_rx_queues),
	FIELD(rte_eth_dev_info, rx_offload_capa),
	FIELD(rte_eth_dev_info, tx_offload_capa),
	FIELD(rte_eth_dev_info, flow_type_rss_offloads),
	SIZE(rte_eth_stats),
	SIZE(rte_eth_link),
	SIZE(rte_eth_xstat),
	SIZE(rte_eth_xstat_name),
	SIZE(rte_ether_addr),
	{ NULL, 0 },
};
