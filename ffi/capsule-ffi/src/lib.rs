//! What the crate `capsule` 0.1.5 calls `ffi`, over today's libdpdk: the names that it uses and no others.
//!
//! Capsule was written against DPDK 19.11, by way of a crate of this name that binds that version. This one stands in its
//! place, so that capsule itself compiles unmodified. Most names are `weir-dpdk-sys`'s own. The others are here:
//!
//! - [`frames`]: DPDK's inline functions on mbufs and queues. Frames that capsule frees go to the pools that they came
//!   from, whatever their number of segments.
//! - [`handover`]: the way by which a frame that Weir owns becomes capsule's, and back, without a copy.
//! - [`eal`]: the start, with the option names of 19.11 turned into today's, and what a number of an error means.
//! - [`kni`]: the kernel network interface, which DPDK has dropped. Each call fails, and the error says so.
//! - [`pcap`]: libpcap's, for capsule's feature `pcap-dump`.
//!
//! Everything is unsafe to call unless it says otherwise; the rules are those of DPDK's API
//! (<https://doc.dpdk.org/api-22.11/>).
#![allow(unsafe_code, reason = "calls into libdpdk")]
#![allow(non_camel_case_types, non_snake_case, reason = "the names are C's")]

pub mod eal;
pub mod frames;
pub mod handover;
pub mod kni;
pub mod pcap;

pub use eal::{_rte_errno, numa_node_of_cpu, rte_eal_init, rte_strerror};
pub use frames::{
    _rte_eth_rx_burst, _rte_eth_tx_burst, _rte_mempool_put_bulk, _rte_pktmbuf_alloc, _rte_pktmbuf_alloc_bulk,
    _rte_pktmbuf_free,
};
pub use kni::{
    rte_kni, rte_kni_alloc, rte_kni_close, rte_kni_conf, rte_kni_get_name, rte_kni_handle_request,
    rte_kni_init, rte_kni_ops, rte_kni_release, rte_kni_rx_burst, rte_kni_tx_burst,
};
pub use pcap::{
    pcap_close, pcap_dump, pcap_dump_close, pcap_dump_flush, pcap_dump_open, pcap_dump_open_append,
    pcap_dumper_t, pcap_geterr, pcap_next_ex, pcap_open_dead, pcap_open_offline, pcap_pkthdr, pcap_t,
    timeval,
};

pub use weir_dpdk_sys::{
    RTE_MBUF_DEFAULT_BUF_SIZE, rte_cpuset_t, rte_eal_cleanup, rte_eth_add_rx_callback,
    rte_eth_add_tx_callback, rte_eth_allmulticast_disable, rte_eth_allmulticast_enable, rte_eth_conf,
    rte_eth_dev_adjust_nb_rx_tx_desc, rte_eth_dev_close, rte_eth_dev_configure, rte_eth_dev_get_port_by_name,
    rte_eth_dev_info, rte_eth_dev_info_get, rte_eth_dev_socket_id, rte_eth_dev_start, rte_eth_dev_stop,
    rte_eth_macaddr_get, rte_eth_promiscuous_disable, rte_eth_promiscuous_enable, rte_eth_rx_queue_setup,
    rte_eth_stats, rte_eth_stats_get, rte_eth_tx_queue_setup, rte_ether_addr, rte_mbuf, rte_mempool,
    rte_mempool_free, rte_mempool_in_use_count, rte_pktmbuf_pool_create, rte_socket_count, rte_socket_id,
    rte_socket_id_by_idx, rte_thread_set_affinity,
};

// Renamed by DPDK 21.11 and 22.11.
pub use weir_dpdk_sys::{
    WEIR_RSS_IP as ETH_RSS_IP, WEIR_RSS_SCTP as ETH_RSS_SCTP, WEIR_RSS_TCP as ETH_RSS_TCP,
    WEIR_RSS_UDP as ETH_RSS_UDP, WEIR_TX_OFFLOAD_MBUF_FAST_FREE as DEV_TX_OFFLOAD_MBUF_FAST_FREE,
};

/// An enumeration of DPDK as capsule's bindings had it: a module of constants.
pub mod rte_eth_rx_mq_mode {
    pub use weir_dpdk_sys::RTE_ETH_MQ_RX_RSS as ETH_MQ_RX_RSS;
}
