/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What bindgen reads: DPDK's headers, our shim, and the flags that bindgen cannot evaluate by itself. */
#ifndef WEIR_DPDK_WRAPPER_H
#define WEIR_DPDK_WRAPPER_H

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

#include "shim.h"

/* Function-like macros (RTE_BIT64) have no value for bindgen; a constant with the same value has. */
static const uint64_t WEIR_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t WEIR_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t WEIR_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t WEIR_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t WEIR_RSS_UDP = RTE_ETH_RSS_UDP;
#ifdef WEIR_CAPSULE
static const uint64_t WEIR_RSS_SCTP = RTE_ETH_RSS_SCTP;
static const uint64_t WEIR_TX_OFFLOAD_MBUF_FAST_FREE = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
#endif

#endif
