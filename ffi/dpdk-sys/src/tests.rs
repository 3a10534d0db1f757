//! Rust's idea of DPDK's structures against the C compiler's. Bindgen's own assertions compare with libclang,
//! which reads the headers under flags of its own choosing; these compare with what the shim was compiled to.

use super::*;
use core::ffi::CStr;
use std::collections::BTreeMap;
use std::mem::offset_of;

macro_rules! layout {
    ($($type:ident { $($field:ident),* })*) => {
        [$(
            (stringify!($type), size_of::<$type>()),
            $((concat!(stringify!($type), ".", stringify!($field)), offset_of!($type, $field)),)*
        )*]
    };
}

fn c_layouts() -> BTreeMap<&'static str, usize> {
    let mut all = BTreeMap::new();
    let mut entry = (&raw const weir_layouts).cast::<weir_layout>();
    loop {
        // SAFETY: the shim's list is constant and ends with a null name, at which we stop.
        let (name, value) = unsafe { ((*entry).name, (*entry).value) };
        if name.is_null() {
            return all;
        }
        // SAFETY: a string literal of the shim.
        let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap();
        all.insert(name, value);
        // SAFETY: not yet at the end of the list.
        entry = unsafe { entry.add(1) };
    }
}

#[test]
fn structures_look_the_same_from_c_and_from_rust() {
    let rust = layout! {
        rte_mbuf { buf_addr, data_off, refcnt, nb_segs, port, ol_flags, pkt_len, data_len, buf_len, pool, next }
        rte_eth_fp_ops { rx_pkt_burst, rxq, tx_pkt_burst, txq }
        rte_ethdev_qdata { data, clbk }
        rte_eth_conf { rxmode, txmode, rx_adv_conf }
        rte_eth_dev_info { driver_name, max_rx_queues, rx_offload_capa, tx_offload_capa, flow_type_rss_offloads }
        rte_eth_stats {}
        rte_eth_link {}
        rte_eth_xstat {}
        rte_eth_xstat_name {}
        rte_ether_addr {}
    };
    assert_eq!(BTreeMap::from(rust), c_layouts());
}

#[test]
fn the_headers_and_the_library_are_of_one_version() {
    // SAFETY: returns a constant string.
    let loaded = unsafe { CStr::from_ptr(rte_version()) }.to_str().unwrap();
    assert_eq!(loaded, format!("DPDK {DPDK_VERSION}"));
}

#[test]
fn flags_have_the_values_of_the_abi() {
    // rte_ethdev.h of DPDK 22.11: RTE_BIT64(13) and RTE_BIT64(15).
    assert_eq!(WEIR_RX_OFFLOAD_SCATTER, 1 << 13);
    assert_eq!(WEIR_TX_OFFLOAD_MULTI_SEGS, 1 << 15);
    assert_ne!(WEIR_RSS_IP & WEIR_RSS_TCP, WEIR_RSS_IP);
    assert_eq!(WEIR_RSS_TCP & WEIR_RSS_UDP, 0);
}
