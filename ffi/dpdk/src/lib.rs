//! Safe, owning wrappers over libdpdk: EAL, mempool, mbufs, ports, queues, lcores.
//!
//! Order of use:
//!
//! 1. [`Eal::init`], once per process, gives a copyable proof that DPDK runs and one [`Lcore`] per worker core.
//! 2. [`Pool::new`] makes the buffers.
//! 3. [`Port::configure`] opens a [`Device`] (a PCI address or a virtual device), [`Port::start`] starts it and
//!    hands out its queues, each once.
//! 4. [`Lcore::run`] puts a closure on a worker core; in it, [`RxQueue::rx`] and [`TxQueue::tx`] move frames.
//!
//! What the types promise:
//!
//! - An [`Mbuf`] is freed exactly once: it is not `Clone`, dropping it frees it, and handing it to [`TxQueue::tx`]
//!   takes it away.
//! - A port stops and closes only when its [`Port`] and all its queues are gone, so no core ever polls a closed
//!   port. A queue cannot be polled by two cores: polling needs `&mut`, and queues are not `Clone`.
//! - EAL and pools live as long as the process. An mbuf is a bare pointer, so nothing could prove that none
//!   outlives its pool; the memory (anonymous hugepages, or ordinary pages) goes back to the kernel at exit,
//!   also after a `kill -9`.
//!
//! Control calls (configure, start, statistics) are serialised by one lock, because DPDK leaves that to its
//! callers. Bursts take no lock.
#![allow(unsafe_code, reason = "calls into libdpdk; each block says why its rules are kept")]

mod device;
mod eal;
mod error;
mod interface;
mod lcore;
mod log;
mod mbuf;
mod pool;
mod port;
mod preflight;
mod queue;
pub mod testing;

pub use device::Device;
pub use eal::{Eal, EalConfig, LogLevel};
pub use error::{DeviceError, EalError, Errno, LaunchError, LogTail, PoolError, PortError};
pub use interface::{CombinedChannels, Interface};
pub use lcore::{Lcore, Running};
pub use mbuf::{Mbuf, NoRoom, Transparent};
pub use pool::Pool;
pub use port::{
    FRAME_OVERHEAD, Filter, Granted, Link, Mac, Offloads, Port, PortConfig, PortStats, QueuePair,
};
pub use queue::{RxQueue, TxQueue};

/// The version of the libdpdk that this is built against.
pub use weir_dpdk_sys::DPDK_VERSION;

/// What the libdpdk that the system has loaded calls itself, such as `DPDK 22.11.8`. May be asked before EAL starts.
pub fn loaded_version() -> String {
    // SAFETY: `rte_version` takes nothing and returns a NUL-terminated string that is never freed or changed after its
    // first call, which writes the same bytes whoever makes it.
    let text = unsafe { std::ffi::CStr::from_ptr(weir_dpdk_sys::rte_version()) };
    text.to_string_lossy().into_owned()
}
