//! What the checks look at, and what a configuration needs of it.

use super::sysfs::Sysfs;
use crate::config::{Device, Plan, PortsPlan, TunerPlan};
use std::fmt;
use std::path::Path;
use weir_netdev::Offloads;
use weir_snapshot::Executor;

/// A machine, as far as `weir doctor` looks at it.
pub struct Host {
    /// Its `/proc` and `/sys`.
    pub files: Sysfs,
    /// The offloads of an interface; `None` where nobody can tell.
    pub offloads: fn(&str) -> Option<Offloads>,
    /// Every executor, slowest first, and why it cannot run here if it cannot.
    pub executors: Vec<(&'static str, Result<(), String>)>,
    /// ONNX Runtime: which one was loaded, or why none was.
    pub onnx_runtime: Result<String, String>,
    /// The DPDK that this weir is linked to and the one that the system has loaded; `None` in a build without.
    pub dpdk: Option<(String, String)>,
}

impl Host {
    /// This machine, with ONNX Runtime from `onnx_runtime` where a configuration names it.
    pub fn this(onnx_runtime: Option<&Path>) -> Host {
        Host {
            files: Sysfs::new("/"),
            offloads: |interface| weir_netdev::offloads(interface).ok(),
            executors: Executor::ALL
                .into_iter()
                .map(|executor| (executor.name(), can_run(executor)))
                .collect(),
            onnx_runtime: weir_trainer::ort_engine::Engine::load(onnx_runtime)
                .map(|engine| format!("{} at {}", engine.version(), engine.path().display()))
                .map_err(|error| error.to_string()),
            dpdk: dpdk(),
        }
    }
}

fn can_run(executor: Executor) -> Result<(), String> {
    executor.check().map_err(|error| error.to_string())
}

#[cfg(feature = "dpdk")]
fn dpdk() -> Option<(String, String)> {
    Some((weir_dpdk::DPDK_VERSION.to_owned(), weir_dpdk::loaded_version()))
}
#[cfg(not(feature = "dpdk"))]
fn dpdk() -> Option<(String, String)> {
    None
}

/// What a configuration needs of its machine. Without one, the defaults stand in and nothing is at fault.
#[derive(Clone, Debug)]
pub struct Needs {
    /// Whether a configuration asks for it, so that a lack is a fault.
    pub real: bool,
    /// Memory from hugepages, in MB; 0 for none.
    pub hugepages_mb: u64,
    /// Memory that may be pinned, in MB.
    pub memory_mb: u64,
    /// The control core.
    pub control: usize,
    /// The workers' cores.
    pub workers: Vec<usize>,
    /// DPDK devices.
    pub devices: Vec<Device>,
    /// Whether a model is to learn by ONNX Runtime.
    pub learns: bool,
}

impl Needs {
    /// Of a configuration; `None` where it runs on capture files and needs nothing.
    pub fn of(plan: &Plan) -> Option<Needs> {
        let PortsPlan::Devices(devices) = &plan.ports else { return None };
        let memory_mb = u64::from(plan.eal.memory_mb);
        Some(Needs {
            real: true,
            hugepages_mb: if plan.eal.hugepages { memory_mb } else { 0 },
            memory_mb,
            control: plan.cores.control,
            workers: plan.cores.workers.clone(),
            devices: devices.to_vec(),
            learns: learns(plan),
        })
    }

    /// What a first deployment would need: the defaults of a configuration.
    pub fn usual() -> Needs {
        Needs {
            real: false,
            hugepages_mb: 256,
            memory_mb: 256,
            control: 0,
            workers: vec![1],
            devices: Vec::new(),
            learns: false,
        }
    }

    /// PCI devices among the ports.
    pub fn pci(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().filter_map(|device| match device {
            Device::Pci(address) => Some(address.as_str()),
            Device::Virtual(_) => None,
        })
    }

    /// Kernel interfaces under virtual devices, each with its driver.
    pub fn interfaces(&self) -> impl Iterator<Item = (&str, &str)> {
        let on_interface =
            |driver: &str| ["net_af_packet", "net_af_xdp"].iter().any(|one| driver.starts_with(one));
        self.devices
            .iter()
            .filter_map(move |device| Some((device.name(), device.argument("iface")?)))
            .filter(move |(driver, _)| on_interface(driver))
    }
}

/// A model that a process tunes needs no ONNX Runtime.
fn learns(plan: &Plan) -> bool {
    let tuners = plan.models.iter().filter_map(|model| model.adapt.as_ref()).map(|adapt| &adapt.tuner);
    tuners.into_iter().any(|tuner| !matches!(tuner, TunerPlan::Process { .. }))
}

/// A list of things in words.
pub(super) fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
