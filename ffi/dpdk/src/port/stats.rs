//! How a port fares: address, link, counters.

use super::Port;
use crate::error::PortError;
use std::ffi::{CStr, c_int, c_uint};
use std::fmt;
use weir_dpdk_sys as sys;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// State of a port's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Frames can pass.
    pub up: bool,
    /// Megabits per second, where the driver knows.
    pub mbps: Option<u32>,
    /// Both directions at once.
    pub full_duplex: bool,
}

/// Counters that every driver keeps, since the port was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStats {
    /// Frames delivered to queues.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames lost because no descriptor was free: the workers were too slow.
    pub rx_missed: u64,
    /// Frames received damaged.
    pub rx_errors: u64,
    /// Receive attempts that found the pool empty.
    pub rx_no_buffer: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
}

impl Port {
    /// The port's own address.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn mac(&self) -> Result<Mac, PortError> {
        let mut address = sys::rte_ether_addr::default();
        let id = self.shared.id();
        // SAFETY: the port is open; `address` is ours to be written.
        self.shared.call("rte_eth_macaddr_get", || unsafe { sys::rte_eth_macaddr_get(id, &mut address) })?;
        Ok(Mac(address.addr_bytes))
    }

    /// The state of the link as last seen, without waiting for negotiation.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn link(&self) -> Result<Link, PortError> {
        /// RTE_ETH_SPEED_NUM_UNKNOWN.
        const UNKNOWN: u32 = u32::MAX;
        let mut link = sys::rte_eth_link::default();
        let id = self.shared.id();
        let ask = || {
            // SAFETY: the port is open; `link` is ours to be written.
            unsafe { sys::rte_eth_link_get_nowait(id, &mut link) }
        };
        self.shared.call("rte_eth_link_get_nowait", ask)?;
        Ok(Link {
            up: link.link_status() != 0,
            mbps: Some(link.link_speed).filter(|&speed| speed != 0 && speed != UNKNOWN),
            full_duplex: link.link_duplex() != 0,
        })
    }

    /// The basic counters.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn stats(&self) -> Result<PortStats, PortError> {
        let mut stats = sys::rte_eth_stats::default();
        let id = self.shared.id();
        // SAFETY: the port is open; `stats` is ours to be written.
        self.shared.call("rte_eth_stats_get", || unsafe { sys::rte_eth_stats_get(id, &mut stats) })?;
        Ok(PortStats {
            rx_frames: stats.ipackets,
            rx_bytes: stats.ibytes,
            rx_missed: stats.imissed,
            rx_errors: stats.ierrors,
            rx_no_buffer: stats.rx_nombuf,
            tx_frames: stats.opackets,
            tx_bytes: stats.obytes,
            tx_errors: stats.oerrors,
        })
    }

    /// All counters that the driver keeps, by its own names.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn xstats(&self) -> Result<Vec<(String, u64)>, PortError> {
        let id = self.shared.id();
        // SAFETY: the port is open; asked with no room, the call only counts.
        let count = self.shared.call("rte_eth_xstats_get_names", || unsafe {
            sys::rte_eth_xstats_get_names(id, std::ptr::null_mut(), 0)
        })?;
        let mut names = vec![sys::rte_eth_xstat_name::default(); count as usize];
        let mut values = vec![sys::rte_eth_xstat::default(); count as usize];
        // SAFETY: both arrays have room for what `count` says, and are ours to be written.
        let named = self.shared.call("rte_eth_xstats_get_names", || unsafe {
            sys::rte_eth_xstats_get_names(id, names.as_mut_ptr(), count as c_uint)
        })?;
        // SAFETY: as above.
        let valued = self.shared.call("rte_eth_xstats_get", || unsafe {
            sys::rte_eth_xstats_get(id, values.as_mut_ptr(), count as c_uint)
        })?;
        // A driver that grew counters in between answers with the new size and writes nothing.
        let filled = |answer: c_int| if answer > count { 0 } else { answer as usize };
        let names = &names[..filled(named)];
        let pairs = values[..filled(valued)].iter().filter_map(|stat| {
            let name = names.get(usize::try_from(stat.id).ok()?)?;
            Some((text(&name.name), stat.value))
        });
        Ok(pairs.collect())
    }
}

fn text(name: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|&c| c as u8).collect();
    CStr::from_bytes_until_nul(&bytes).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
