//! What can go wrong, one enum per question that a caller asks. Each message says what to do next.

use crate::Device;
use std::fmt;
use thiserror::Error;

/// An error number of the kernel or of DPDK, shown by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    /// `rte_errno` of the calling thread.
    pub(crate) fn last() -> Errno {
        // SAFETY: reads a thread-local variable.
        Errno(unsafe { weir_dpdk_sys::weir_errno() })
    }

    /// Success, or the number that a function returned negated.
    pub(crate) fn check(returned: i32) -> Result<i32, Errno> {
        if returned < 0 { Err(Errno(-returned)) } else { Ok(returned) }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nix::errno::Errno::from_raw(self.0) {
            // DPDK's own numbers lie above the kernel's (rte_errno.h).
            nix::errno::Errno::UnknownErrno => write!(f, "DPDK error {}", self.0),
            known => known.fmt(f),
        }
    }
}

/// What DPDK logged at level warning or worse while a call failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTail(pub Vec<String>);

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "; DPDK said: {}", self.0.join(" | ")) }
    }
}

/// A text that names no device.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is not a device: expected a PCI address (0000:03:00.0) or a virtual device, which is a driver, a \
     number and arguments (net_af_packet0,iface=eth1)"
)]
pub struct DeviceError {
    /// What was given.
    pub text: String,
}

/// Why EAL did not start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EalError {
    /// EAL starts once per process; also a failed start cannot be repeated.
    #[error("DPDK's EAL was already started, or failed to start, in this process: restart the process")]
    AlreadyTried,
    /// The kernel has too few free hugepages.
    #[error(
        "{needed_mb} MB of hugepages are wanted and {free_mb} MB are free: run `scripts/hugepages.sh {pages}` as root, \
         or set `hugepages = false` (about half the speed)",
        pages = needed_mb.div_ceil(2)
    )]
    TooFewHugepages {
        /// Wanted.
        needed_mb: u64,
        /// Free in pools of all page sizes.
        free_mb: u64,
    },
    /// A core is not one that this process may run on.
    #[error("core {cpu} cannot be used: this process may run on {allowed:?} (see cgroup cpuset.cpus)")]
    NoSuchCpu {
        /// Asked for.
        cpu: usize,
        /// Open to this process.
        allowed: Vec<usize>,
    },
    /// The process's affinity could not be read.
    #[error(transparent)]
    Affinity(#[from] weir_cpu::CpuError),
    /// More worker cores than this build of DPDK can count.
    #[error("{wanted} lcores are wanted, this build of DPDK has {max}: name fewer worker cores")]
    TooManyLcores {
        /// Asked for, the main lcore included.
        wanted: usize,
        /// RTE_MAX_LCORE.
        max: usize,
    },
    /// Memory for the log stream ran out.
    #[error("no memory to take over DPDK's log: free some and start again")]
    NoLog,
    /// `rte_eal_init` failed for a reason of its own.
    #[error("DPDK's EAL did not start: {errno}{log}; arguments were `{arguments}`")]
    Init {
        /// `rte_errno`.
        errno: Errno,
        /// What it logged.
        log: LogTail,
        /// What it was given.
        arguments: String,
    },
}

/// Why there is no pool.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PoolError {
    /// A size or name outside what DPDK takes.
    #[error("mempool `{name}`: {what}")]
    Argument {
        /// The pool's name.
        name: String,
        /// Which limit, and its value.
        what: String,
    },
    /// DPDK could not make it.
    #[error(
        "mempool `{name}` of {buffers} buffers, about {mb} MB: {errno}{log}; raise `memory_mb` (and reserve hugepages \
         for it), or use fewer buffers; a name can be used once"
    )]
    Create {
        /// The pool's name.
        name: String,
        /// Buffers asked for.
        buffers: u32,
        /// Their memory.
        mb: u64,
        /// `rte_errno`.
        errno: Errno,
        /// What DPDK logged.
        log: LogTail,
    },
}

/// Why a port could not be opened, configured, started or asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PortError {
    /// The device could not be attached.
    #[error("port `{device}` cannot be opened: {errno}{log}; {next}", next = device.advice())]
    Probe {
        /// The device.
        device: Device,
        /// The driver's or bus's reason.
        errno: Errno,
        /// What DPDK logged.
        log: LogTail,
    },
    /// The driver took the device but made no port of that name.
    #[error("device `{device}` was attached but has no port of its name; {next}", next = device.advice())]
    NoPort {
        /// The device.
        device: Device,
    },
    /// The port is open in this process.
    #[error("port `{port}` is already open in this process: name each device once")]
    InUse {
        /// The port.
        port: String,
    },
    /// The device has not a transmit queue for each worker, or none to receive.
    #[error(
        "port `{port}` has {rx_max} receive and {tx_max} transmit queues, and each of {wanted} worker cores needs a transmit \
         queue of its own: use fewer worker cores or give the device more queues"
    )]
    TooFewQueues {
        /// The port.
        port: String,
        /// Workers.
        wanted: u16,
        /// The device's limit.
        rx_max: u16,
        /// The device's limit.
        tx_max: u16,
    },
    /// The MTU is outside the device's range.
    #[error("port `{port}` takes an MTU from {min} to {max}, {wanted} is wanted")]
    Mtu {
        /// The port.
        port: String,
        /// Wanted.
        wanted: u16,
        /// The device's limit.
        min: u16,
        /// The device's limit.
        max: u16,
    },
    /// A frame of full MTU fits no buffer, and the device cannot spread it over several.
    #[error(
        "port `{port}`: a frame of full MTU has {needed} bytes, a buffer {room}, and the device does not scatter: \
         lower the MTU or use larger buffers"
    )]
    BufferTooSmall {
        /// The port.
        port: String,
        /// Bytes of the largest frame.
        needed: u32,
        /// Bytes that a buffer of the pool holds.
        room: u32,
    },
    /// The port runs, and its queues were handed out.
    #[error("port `{port}` is already started: its queues exist once")]
    AlreadyStarted {
        /// The port.
        port: String,
    },
    /// A call failed for the driver's own reason.
    #[error("port `{port}`: {call} failed: {errno}{log}; {next}", next = after_call(port))]
    Call {
        /// The port.
        port: String,
        /// Which DPDK function.
        call: &'static str,
        /// The driver's reason.
        errno: Errno,
        /// What DPDK logged.
        log: LogTail,
    },
}

/// What to do when a driver refuses a call.
fn after_call(port: &str) -> &'static str {
    if port.starts_with("net_memif") {
        "a memif client connects at its start and never again: its server must listen first, at the same socket"
    } else {
        "look for the driver's limits in DPDK's NIC guide"
    }
}

/// Why a closure did not start on a worker core.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("lcore {lcore} did not take the job: {errno}; restart the process")]
pub struct LaunchError {
    /// Which lcore.
    pub lcore: u32,
    /// DPDK's reason.
    pub errno: Errno,
}
