//! DPDK's environment abstraction layer: started once, for as long as the process lives.

use crate::error::{EalError, Errno};
use crate::{Device, Lcore, log, preflight};
use std::ffi::{CString, c_char, c_int};
use std::sync::{Mutex, PoisonError};
use weir_dpdk_sys as sys;

/// Control calls are one at a time: DPDK's device lists and ports are not safe against concurrent change.
static CONTROL: Mutex<()> = Mutex::new(());

/// Whether a start was tried. `rte_eal_init` cannot be repeated, not even after most of its failures.
static TRIED: Mutex<bool> = Mutex::new(false);

/// How EAL is to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// Take memory from hugepages (anonymous ones: no mount, nothing left behind). Ordinary pages need no
    /// preparation and no root, and roughly halve the packet rate.
    pub hugepages: bool,
    /// Memory for buffers and queues, in MB, set aside at the start.
    pub memory_mb: u32,
    /// The core of the thread that calls [`Eal::init`]. The thread is bound to it, and so are the threads that it
    /// starts afterwards unless they choose otherwise.
    pub main_cpu: usize,
    /// One worker lcore for each entry, bound to that core. Cores may repeat.
    pub worker_cpus: Vec<usize>,
    /// Devices that will become ports. EAL probes the PCI devices among them and leaves all others alone;
    /// virtual devices are attached later and need not be listed.
    pub devices: Vec<Device>,
    /// The least severe messages that DPDK shall produce. They become `tracing` events under target `dpdk`.
    pub log_level: LogLevel,
}

impl Default for EalConfig {
    fn default() -> EalConfig {
        EalConfig {
            hugepages: true,
            memory_mb: 256,
            main_cpu: 0,
            worker_cpus: Vec::new(),
            devices: Vec::new(),
            log_level: LogLevel::Notice,
        }
    }
}

/// Severity of DPDK's log messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is odd.
    Warning,
    /// Normal but significant.
    Notice,
    /// What EAL and drivers do.
    Info,
    /// Everything compiled in.
    Debug,
}

impl LogLevel {
    const fn argument(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warning => "warning",
            LogLevel::Notice => "notice",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

/// Proof that EAL runs. It runs until the process ends, so the proof can be copied at will.
#[derive(Clone, Copy, Debug)]
pub struct Eal(());

impl Eal {
    /// Starts EAL and returns one [`Lcore`] per entry of `worker_cpus`, in that order. The calling thread becomes
    /// the main lcore.
    ///
    /// # Errors
    /// EAL was started before; a core, or hugepages, or another thing that it needs is missing. What can be
    /// checked first is, and may then be tried again.
    pub fn init(config: &EalConfig) -> Result<(Eal, Vec<Lcore>), EalError> {
        let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
        if *tried {
            return Err(EalError::AlreadyTried);
        }
        preflight::check(config)?;
        *tried = true;
        if !log::redirect() {
            return Err(EalError::NoLog);
        }
        let arguments = arguments(config);
        // EAL permutes the pointers and keeps some of the strings, so both stay for ever.
        let argv: Vec<*mut c_char> = arguments
            .iter()
            .filter_map(|argument| CString::new(argument.as_str()).ok())
            .map(CString::into_raw)
            .chain([std::ptr::null_mut()])
            .collect();
        let argc = argv.len() as c_int - 1;
        let argv = Vec::leak(argv).as_mut_ptr();
        // SAFETY: `argv` holds `argc` NUL-terminated strings and a null, none of which is ever freed; `tried`
        // makes this the only call.
        let (parsed, log) = log::watch(|| unsafe { sys::rte_eal_init(argc, argv) });
        if parsed < 0 {
            return Err(EalError::Init { errno: Errno::last(), log, arguments: arguments.join(" ") });
        }
        // SAFETY: EAL knows lcores 1.. by `--lcores`, and each is handed out once, here.
        let lcore = |(index, &cpu): (usize, &usize)| unsafe { Lcore::new(index as u32 + 1, cpu) };
        Ok((Eal(()), config.worker_cpus.iter().enumerate().map(lcore).collect()))
    }

    /// Runs `call` while no other control call runs, and returns what DPDK logged meanwhile.
    pub(crate) fn control<T>(self, call: impl FnOnce() -> T) -> (T, crate::LogTail) {
        let _guard = CONTROL.lock().unwrap_or_else(PoisonError::into_inner);
        log::watch(call)
    }
}

/// The command line that EAL is configured by.
fn arguments(config: &EalConfig) -> Vec<String> {
    let mut all = vec!["weir".to_owned(), "--file-prefix=weir".to_owned(), "--no-telemetry".to_owned()];
    // Both leave no file behind and share nothing, so a killed process cannot disturb the next.
    let memory: &[&str] = if config.hugepages { &["--in-memory"] } else { &["--no-huge", "--no-shconf"] };
    all.extend(memory.iter().map(|&argument| argument.to_owned()));
    all.extend(["-m".to_owned(), config.memory_mb.to_string()]);

    // lcore 0 is the main one, worker i is lcore i + 1; `id@cpu` lets workers share a core.
    let cpus = std::iter::once(&config.main_cpu).chain(&config.worker_cpus);
    let lcores: Vec<String> = cpus.enumerate().map(|(id, cpu)| format!("{id}@{cpu}")).collect();
    all.push(format!("--lcores={}", lcores.join(",")));
    all.push("--main-lcore=0".to_owned());

    // Without a list of its own EAL probes every device on the bus, the host's network card included.
    let pci: Vec<&Device> = config.devices.iter().filter(|device| device.is_pci()).collect();
    if pci.is_empty() {
        all.push("--no-pci".to_owned());
    }
    all.extend(pci.iter().flat_map(|device| ["-a".to_owned(), device.to_string()]));
    all.push(format!("--log-level={}", config.log_level.argument()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_is_off_unless_a_device_is_named() {
        let config = EalConfig { worker_cpus: vec![1, 1], ..EalConfig::default() };
        assert_eq!(
            arguments(&config).join(" "),
            "weir --file-prefix=weir --no-telemetry --in-memory -m 256 --lcores=0@0,1@1,2@1 --main-lcore=0 --no-pci \
             --log-level=notice"
        );
    }

    #[test]
    fn named_pci_devices_are_the_only_ones() {
        let devices = vec!["03:00.0,a=1".parse().unwrap(), "net_null0".parse().unwrap()];
        let config = EalConfig { hugepages: false, devices, ..EalConfig::default() };
        assert_eq!(
            arguments(&config).join(" "),
            "weir --file-prefix=weir --no-telemetry --no-huge --no-shconf -m 256 --lcores=0@0 --main-lcore=0 \
             -a 0000:03:00.0,a=1 --log-level=notice"
        );
    }
}
