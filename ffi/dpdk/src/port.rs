//! Ports: open a device, agree on what it can do, start it, hand out its queues, ask how it fares.

mod shared;
mod stats;

pub use stats::{Link, Mac, PortStats};

pub(crate) use shared::Shared;

use crate::error::{Errno, PortError};
use crate::mbuf::Transparent;
use crate::{Device, Eal, Pool, RxQueue, TxQueue};
use arrayvec::ArrayVec;
use shared::Limits;
use std::sync::Arc;
use weir_dpdk_sys as sys;

/// What a port is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortConfig {
    /// Workers that are to send and receive: a transmit queue for each, and a receive queue for each as far as the device
    /// has them.
    pub workers: u16,
    /// Descriptors wanted per receive queue; brought into the device's limits.
    pub rx_descriptors: u16,
    /// Descriptors wanted per transmit queue; brought into the device's limits.
    pub tx_descriptors: u16,
    /// Receive frames for any address, as a transparent wire must.
    pub promiscuous: bool,
    /// Largest IP packet in bytes; `None` leaves what the device has.
    pub mtu: Option<u16>,
    /// Wanted where the device can.
    pub offloads: Offloads,
}

impl Default for PortConfig {
    fn default() -> PortConfig {
        PortConfig {
            workers: 1,
            rx_descriptors: 1024,
            tx_descriptors: 1024,
            promiscuous: true,
            mtu: None,
            offloads: Offloads::default(),
        }
    }
}

/// What a device can do for frames beyond moving whole ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Receive a frame that is longer than one buffer into several.
    pub rx_scatter: bool,
    /// Send a frame that lies in several buffers.
    pub tx_segments: bool,
}

/// What a port was given of what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Offloads both wanted and there.
    pub offloads: Offloads,
    /// Receive queues. Fewer than workers where the device has no more.
    pub rx_queues: u16,
    /// Frames are spread over the receive queues by the device, by a hash of their addresses and ports that is the same
    /// for both directions where the device lets us choose its key. Without it, a device with several queues has rules of
    /// its own.
    pub rss: bool,
    /// Frames for any address are received. A device that cannot say so has no filter that we could open.
    pub promiscuous: bool,
    /// Descriptors per receive queue.
    pub rx_descriptors: u16,
    /// Descriptors per transmit queue.
    pub tx_descriptors: u16,
    /// Largest IP packet in bytes.
    pub mtu: u16,
}

/// The queues of one worker.
#[derive(Debug)]
pub struct QueuePair {
    /// None where the device has fewer than there are workers.
    rx: Option<RxQueue>,
    tx: TxQueue,
}

impl QueuePair {
    /// Appends frames that arrived, as [`RxQueue::rx`] does. None ever arrive where the worker has no receive queue.
    #[inline(always)]
    pub fn rx<T: Transparent, const N: usize>(&mut self, into: &mut ArrayVec<T, N>) -> usize {
        self.rx.as_mut().map_or(0, |queue| queue.rx(into))
    }

    /// Sends frames, as [`TxQueue::tx`] does.
    #[inline(always)]
    pub fn tx<T: Transparent, const N: usize>(&mut self, from: &mut ArrayVec<T, N>) -> usize {
        self.tx.tx(from)
    }
}

/// An open port. It closes when this value and all its queues are dropped.
#[derive(Debug)]
pub struct Port {
    shared: Arc<Shared>,
    workers: u16,
    granted: Granted,
}

/// The RSS key that gives both directions of a flow one hash: a repeated pair of bytes (Woo and Park, "Scalable TCP session
/// monitoring with symmetric receive-side scaling", 2012). Not secret: it chooses a queue, never a place in a table. The
/// longest key that a device of DPDK 22.11 wants is 52 bytes.
const SYMMETRIC_KEY: [u8; 64] = {
    let mut key = [0x6d; 64];
    let mut at = 1;
    while at < key.len() {
        key[at] = 0x5a;
        at += 2;
    }
    key
};

/// Ethernet header and two VLAN tags: what a frame has beyond its MTU.
const FRAME_OVERHEAD: u32 = sys::RTE_ETHER_HDR_LEN + 2 * 4;

impl Port {
    /// Opens a device and configures it: queues, MTU, offloads. Virtual devices are attached now; their files and
    /// interfaces are looked up in the calling thread's network namespace. Receive buffers come from `pool`.
    ///
    /// # Errors
    /// The device cannot be opened or is open, or it cannot have the queues, the MTU or buffers of that size.
    pub fn configure(eal: Eal, device: &Device, config: &PortConfig, pool: &Pool) -> Result<Port, PortError> {
        let shared = Shared::open(eal, device)?;
        let limits = shared.limits()?;
        let tx_queues = config.workers;
        let rx_queues = tx_queues.min(limits.rx_queues);
        if rx_queues == 0 || tx_queues > limits.tx_queues {
            let (port, rx_max, tx_max) = (shared.name().to_owned(), limits.rx_queues, limits.tx_queues);
            return Err(PortError::TooFewQueues { port, wanted: tx_queues, rx_max, tx_max });
        }
        let offloads = Offloads {
            rx_scatter: config.offloads.rx_scatter && limits.offloads.rx_scatter,
            tx_segments: config.offloads.tx_segments && limits.offloads.tx_segments,
        };
        let rss = rx_queues > 1 && limits.rss != 0;
        let mtu = check_mtu(&shared, config.mtu, &limits)?;
        let frame = u32::from(mtu) + FRAME_OVERHEAD;
        if !offloads.rx_scatter && frame > u32::from(pool.frame_room()) {
            let (port, room) = (shared.name().to_owned(), pool.frame_room().into());
            return Err(PortError::BufferTooSmall { port, needed: frame, room });
        }

        let mut key = SYMMETRIC_KEY;
        let raw = raw_config(&limits, offloads, rss.then_some(&mut key), mtu);
        let id = shared.id();
        // SAFETY: the port is ours and stopped; the configuration is copied. The key that it may point to outlives the call
        // and is as long as the device says; drivers copy it, and the port's other user of it, an update of the hash, is
        // not called.
        shared.call("rte_eth_dev_configure", || unsafe {
            sys::rte_eth_dev_configure(id, rx_queues, tx_queues, &raw)
        })?;
        if config.mtu.is_some() {
            shared.set_mtu(mtu)?;
        }
        let (mut rx_descriptors, mut tx_descriptors) = (config.rx_descriptors, config.tx_descriptors);
        // SAFETY: the port is configured; both counts are ours to be changed.
        shared.call("rte_eth_dev_adjust_nb_rx_tx_desc", || unsafe {
            sys::rte_eth_dev_adjust_nb_rx_tx_desc(id, &mut rx_descriptors, &mut tx_descriptors)
        })?;
        shared.set_up_queues((rx_queues, rx_descriptors), (tx_queues, tx_descriptors), pool)?;
        let promiscuous = config.promiscuous && shared.open_filter()?;
        let mtu = shared.mtu()?;
        let granted = Granted { offloads, rx_queues, rss, promiscuous, rx_descriptors, tx_descriptors, mtu };
        Ok(Port { shared, workers: tx_queues, granted })
    }

    /// Starts the port and hands out its queues, one pair per worker. From now on it receives.
    ///
    /// # Errors
    /// The port was started before, or the driver refuses.
    pub fn start(&mut self) -> Result<Vec<QueuePair>, PortError> {
        self.shared.start()?;
        let pair = |queue| {
            let port = || Arc::clone(&self.shared);
            let rx = (queue < self.granted.rx_queues).then(|| {
                // SAFETY: the port was started just now, which happens once, with that many receive queues set up.
                unsafe { RxQueue::new(port(), queue) }
            });
            // SAFETY: likewise, with a transmit queue for each worker.
            QueuePair { rx, tx: unsafe { TxQueue::new(port(), queue) } }
        };
        Ok((0..self.workers).map(pair).collect())
    }

    /// The port's name: the full PCI address, or the virtual device's driver and number.
    pub fn name(&self) -> &str {
        self.shared.name()
    }

    /// What the device granted.
    pub fn granted(&self) -> Granted {
        self.granted
    }

    /// Whether the device was unplugged. Its queues then deliver and take nothing.
    pub fn is_removed(&self) -> bool {
        self.shared.is_removed()
    }
}

/// The MTU to configure: the wanted one if the device can have it, else the present one.
fn check_mtu(shared: &Shared, wanted: Option<u16>, limits: &Limits) -> Result<u16, PortError> {
    let (min, max) = (limits.mtu_min, limits.mtu_max);
    match wanted {
        None => shared.mtu(),
        Some(mtu) if (min..=max).contains(&mtu) => Ok(mtu),
        Some(wanted) => Err(PortError::Mtu { port: shared.name().to_owned(), wanted, min, max }),
    }
}

/// The configuration in C's terms. With `rss` it points to that key.
fn raw_config(
    limits: &Limits,
    offloads: Offloads,
    rss: Option<&mut [u8; 64]>,
    mtu: u16,
) -> sys::rte_eth_conf {
    let mut raw = sys::rte_eth_conf::default();
    raw.rxmode.mtu = mtu.into();
    if offloads.rx_scatter {
        raw.rxmode.offloads |= sys::WEIR_RX_OFFLOAD_SCATTER;
    }
    if offloads.tx_segments {
        raw.txmode.offloads |= sys::WEIR_TX_OFFLOAD_MULTI_SEGS;
    }
    if let Some(key) = rss {
        raw.rxmode.mq_mode = sys::RTE_ETH_MQ_RX_RSS;
        raw.rx_adv_conf.rss_conf =
            sys::rte_eth_rss_conf { rss_hf: limits.rss, ..sys::rte_eth_rss_conf::default() };
        // A device that names no size, or one beyond ours, keeps its own key.
        if (1..=key.len()).contains(&usize::from(limits.rss_key_len)) {
            raw.rx_adv_conf.rss_conf.rss_key = key.as_mut_ptr();
            raw.rx_adv_conf.rss_conf.rss_key_len = limits.rss_key_len;
        }
    }
    raw
}

/// A driver's answer to a call that it may lack: `Ok(false)` where it does.
fn optional(returned: i32) -> Result<bool, Errno> {
    match Errno::check(returned) {
        Ok(_) => Ok(true),
        Err(Errno(code)) if code == nix::errno::Errno::ENOTSUP as i32 => Ok(false),
        Err(errno) => Err(errno),
    }
}
