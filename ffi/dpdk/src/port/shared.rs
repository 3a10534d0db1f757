//! What a port and its queues hold together: the open device, closed when the last of them goes.

use super::{Offloads, optional};
use crate::error::{Errno, LogTail, PortError};
use crate::{Device, Eal, Pool};
use std::collections::BTreeSet;
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use weir_dpdk_sys as sys;

/// Ports open in this process, by number.
static OPEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// An open device.
#[derive(Debug)]
pub(crate) struct Shared {
    eal: Eal,
    id: u16,
    name: String,
    started: AtomicBool,
    /// Set by the driver's removal event, which may come on any thread.
    removed: AtomicBool,
}

/// What the device says it can do.
pub(super) struct Limits {
    pub(super) rx_queues: u16,
    pub(super) tx_queues: u16,
    pub(super) mtu_min: u16,
    pub(super) mtu_max: u16,
    pub(super) offloads: Offloads,
    /// The hash fields that we want and it has; 0 where it cannot spread.
    pub(super) rss: u64,
    /// Bytes of its RSS key; 0 where it does not say.
    pub(super) rss_key_len: u8,
}

impl Shared {
    /// Finds the device's port, attaching the device first if need be, and makes it ours.
    pub(super) fn open(eal: Eal, device: &Device) -> Result<Arc<Shared>, PortError> {
        let (found, log) = eal.control(|| {
            let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
            let id = find_or_attach(device)?;
            if open.insert(id) { Ok(id) } else { Err(PortError::InUse { port: device.name().to_owned() }) }
        });
        let id = found.map_err(|error| match error {
            PortError::Probe { device, errno, .. } => PortError::Probe { device, errno, log },
            other => other,
        })?;
        let shared = Arc::new(Shared {
            eal,
            id,
            name: device.name().to_owned(),
            started: AtomicBool::new(false),
            removed: AtomicBool::new(false),
        });
        shared.call("rte_eth_dev_callback_register", || {
            // SAFETY: the flag lives in the `Arc` until `drop` has unregistered the callback.
            unsafe {
                sys::rte_eth_dev_callback_register(
                    id,
                    sys::RTE_ETH_EVENT_INTR_RMV,
                    Some(on_removal),
                    shared.removed.as_ptr().cast::<c_void>(),
                )
            }
        })?;
        Ok(shared)
    }

    pub(crate) fn id(&self) -> u16 {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    #[inline(always)]
    pub(crate) fn is_removed(&self) -> bool {
        // Relaxed: a hint that arrives soon; the driver stays in memory until the port is closed.
        self.removed.load(Ordering::Relaxed)
    }

    /// Makes one control call about this port.
    pub(super) fn call(&self, call: &'static str, run: impl FnOnce() -> c_int) -> Result<i32, PortError> {
        let (returned, log) = self.eal.control(run);
        Errno::check(returned).map_err(|errno| self.failed(call, errno, log))
    }

    fn failed(&self, call: &'static str, errno: Errno, log: LogTail) -> PortError {
        PortError::Call { port: self.name.clone(), call, errno, log }
    }

    fn info(&self) -> Result<sys::rte_eth_dev_info, PortError> {
        let mut info = sys::rte_eth_dev_info::default();
        // SAFETY: the port is open; `info` is ours to be written.
        self.call("rte_eth_dev_info_get", || unsafe { sys::rte_eth_dev_info_get(self.id, &mut info) })?;
        Ok(info)
    }

    pub(super) fn limits(&self) -> Result<Limits, PortError> {
        let info = self.info()?;
        Ok(Limits {
            rx_queues: info.max_rx_queues,
            tx_queues: info.max_tx_queues,
            mtu_min: info.min_mtu,
            mtu_max: info.max_mtu,
            offloads: Offloads {
                rx_scatter: info.rx_offload_capa & sys::WEIR_RX_OFFLOAD_SCATTER != 0,
                tx_segments: info.tx_offload_capa & sys::WEIR_TX_OFFLOAD_MULTI_SEGS != 0,
            },
            rss: info.flow_type_rss_offloads & (sys::WEIR_RSS_IP | sys::WEIR_RSS_TCP | sys::WEIR_RSS_UDP),
            rss_key_len: info.hash_key_size,
        })
    }

    pub(super) fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        // SAFETY: the port is open; `mtu` is ours to be written.
        self.call("rte_eth_dev_get_mtu", || unsafe { sys::rte_eth_dev_get_mtu(self.id, &mut mtu) })?;
        Ok(mtu)
    }

    /// Sets the MTU of the device itself. A driver without that call takes the configured one at its start.
    pub(super) fn set_mtu(&self, mtu: u16) -> Result<(), PortError> {
        // SAFETY: the port is open and stopped.
        let (returned, log) = self.eal.control(|| unsafe { sys::rte_eth_dev_set_mtu(self.id, mtu) });
        optional(returned).map(drop).map_err(|errno| self.failed("rte_eth_dev_set_mtu", errno, log))
    }

    /// Receives frames for any address, and returns whether it now does.
    pub(super) fn open_filter(&self) -> Result<bool, PortError> {
        // SAFETY: the port is open.
        let (returned, log) = self.eal.control(|| unsafe { sys::rte_eth_promiscuous_enable(self.id) });
        optional(returned).map_err(|errno| self.failed("rte_eth_promiscuous_enable", errno, log))?;
        // SAFETY: the port is open.
        let state =
            self.call("rte_eth_promiscuous_get", || unsafe { sys::rte_eth_promiscuous_get(self.id) })?;
        Ok(state == 1)
    }

    /// Sets up receive and transmit queues, each given by number and descriptors.
    pub(super) fn set_up_queues(
        &self,
        (rx_queues, rx): (u16, u16),
        (tx_queues, tx): (u16, u16),
        pool: &Pool,
    ) -> Result<(), PortError> {
        // SAFETY: the port is open. Not knowing its socket is -1, which is also SOCKET_ID_ANY.
        let socket = unsafe { sys::rte_eth_dev_socket_id(self.id) } as c_uint;
        for queue in 0..rx_queues {
            // SAFETY: the port is configured with that many queues and stopped; null asks for the driver's default
            // configuration; the pool is never freed.
            self.call("rte_eth_rx_queue_setup", || unsafe {
                sys::rte_eth_rx_queue_setup(self.id, queue, rx, socket, std::ptr::null(), pool.as_ptr())
            })?;
        }
        for queue in 0..tx_queues {
            // SAFETY: as above.
            self.call("rte_eth_tx_queue_setup", || unsafe {
                sys::rte_eth_tx_queue_setup(self.id, queue, tx, socket, std::ptr::null())
            })?;
        }
        Ok(())
    }

    /// Starts the port, the first time only.
    pub(super) fn start(&self) -> Result<(), PortError> {
        if self.started.swap(true, Ordering::Relaxed) {
            return Err(PortError::AlreadyStarted { port: self.name.clone() });
        }
        // SAFETY: the port is configured and its queues are set up, or `configure` would have failed.
        let started = self.call("rte_eth_dev_start", || unsafe { sys::rte_eth_dev_start(self.id) });
        if started.is_err() {
            self.started.store(false, Ordering::Relaxed);
        }
        started.map(drop)
    }
}

impl Drop for Shared {
    /// Stop, close, detach. The last owner is gone, so no queue is being polled. A driver that refuses leaves the
    /// port to the end of the process, which cleans up in any case; its words are in the log.
    fn drop(&mut self) {
        let flag = self.removed.as_ptr().cast::<c_void>();
        self.eal.control(|| {
            // SAFETY: the port is open and ours; stop, close and remove come in the order that DPDK asks for, and the
            // device is asked for while the port still knows it. The callback is unregistered before its flag goes;
            // EAGAIN says that it is running at this moment.
            unsafe {
                let event = sys::RTE_ETH_EVENT_INTR_RMV;
                while sys::rte_eth_dev_callback_unregister(self.id, event, Some(on_removal), flag)
                    == -(nix::errno::Errno::EAGAIN as c_int)
                {
                    std::thread::yield_now();
                }
                let mut info = sys::rte_eth_dev_info::default();
                let known = sys::rte_eth_dev_info_get(self.id, &mut info) == 0;
                if *self.started.get_mut() {
                    sys::rte_eth_dev_stop(self.id);
                }
                sys::rte_eth_dev_close(self.id);
                if known && !info.device.is_null() {
                    sys::rte_dev_remove(info.device);
                }
            }
            OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        });
    }
}

/// The port of `device`. PCI devices that EAL was told of have theirs since its start; others are attached.
fn find_or_attach(device: &Device) -> Result<u16, PortError> {
    if let Some(id) = find(device) {
        return Ok(id);
    }
    let devargs = device.devargs();
    // SAFETY: the string is NUL-terminated and copied; the control lock is held.
    Errno::check(unsafe { sys::rte_dev_probe(devargs.as_ptr()) }).map_err(|errno| PortError::Probe {
        device: device.clone(),
        errno,
        log: LogTail::default(),
    })?;
    find(device).ok_or_else(|| PortError::NoPort { device: device.clone() })
}

fn find(device: &Device) -> Option<u16> {
    let mut id = 0;
    let name = device.c_name();
    // SAFETY: the name is NUL-terminated; `id` is ours to be written.
    let found = unsafe { sys::rte_eth_dev_get_port_by_name(name.as_ptr(), &mut id) };
    (found == 0).then_some(id)
}

/// The device is gone. Runs on EAL's interrupt thread.
unsafe extern "C" fn on_removal(
    _port: u16,
    _event: sys::rte_eth_event_type,
    flag: *mut c_void,
    _unused: *mut c_void,
) -> c_int {
    // SAFETY: `flag` is `Shared::removed`, alive until this callback is unregistered.
    unsafe { AtomicBool::from_ptr(flag.cast::<bool>()) }.store(true, Ordering::Relaxed);
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mbuf, Port, PortConfig, testing};
    use arrayvec::ArrayVec;

    #[test]
    fn a_removed_port_delivers_and_takes_nothing() {
        let eal = testing::eal();
        let pool = Pool::new(eal, "removal", 511, 0, 2048).unwrap();
        let config = PortConfig { rx_descriptors: 64, tx_descriptors: 64, ..PortConfig::default() };
        let device = "net_null7".parse().unwrap();
        let mut port = Port::configure(eal, &device, &config, &pool).unwrap();
        let mut queues = port.start().unwrap().remove(0);
        let mut burst: ArrayVec<Mbuf, 32> = ArrayVec::new();
        assert_eq!(queues.rx(&mut burst), 32, "net_null always delivers");

        // What the driver does when the device goes; no virtual device can be made to.
        let flag = port.shared.removed.as_ptr().cast::<c_void>();
        // SAFETY: the flag of an open port.
        unsafe { on_removal(port.shared.id, sys::RTE_ETH_EVENT_INTR_RMV, flag, std::ptr::null_mut()) };
        assert!(port.is_removed());
        assert_eq!(queues.tx(&mut burst), 0);
        assert_eq!(burst.len(), 32, "the frames stay with the caller");
        burst.clear();
        assert_eq!(queues.rx(&mut burst), 0);
        drop((queues, port));
        assert_eq!(pool.in_use(), 0);
    }
}
