//! Ports: IOMMU, driver bindings, kernel interfaces.

use super::finding::Finding;
use super::host::{Host, Needs, listed};
use super::sysfs::Sysfs;

/// Kernel drivers that DPDK works beside rather than instead of: the device stays with them.
const BIFURCATED: [&str; 3] = ["mlx5_core", "mlx4_core", "mana"];

/// Everything about ports.
pub(super) fn check(host: &Host, needs: &Needs) -> Vec<Finding> {
    let files = &host.files;
    let through_vfio = needs.pci().any(|address| !is_bifurcated(files, address));
    let mut findings = vec![iommu(files, through_vfio), vfio(files, through_vfio)];
    findings.extend(needs.pci().map(|address| device(files, needs, address)));
    for (driver, interface) in needs.interfaces() {
        findings.extend(self::interface(host, driver, interface));
    }
    findings
}

fn folder(address: &str) -> String {
    format!("/sys/bus/pci/devices/{address}")
}

fn driver(files: &Sysfs, address: &str) -> Option<String> {
    files.link(&format!("{}/driver", folder(address)))
}

fn is_bifurcated(files: &Sysfs, address: &str) -> bool {
    driver(files, address).is_some_and(|driver| BIFURCATED.contains(&driver.as_str()))
}

fn iommu(files: &Sysfs, needed: bool) -> Finding {
    let check = "IOMMU";
    let groups = files.names("/sys/kernel/iommu_groups").len();
    let units = files.names("/sys/class/iommu");
    if groups > 0 {
        return Finding::ok(check, format!("{groups} groups ({})", listed(units)));
    }
    let unsafe_mode =
        files.text("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode").as_deref() == Some("Y");
    let asked = ["intel_iommu", "amd_iommu", "iommu"]
        .iter()
        .find_map(|name| files.boot_option(name).map(|value| format!("{name}={value}")));
    let found = match (asked, unsafe_mode) {
        (_, true) => "none; VFIO runs without (enable_unsafe_noiommu_mode)".to_owned(),
        (Some(asked), false) => {
            format!("none, although the kernel was booted with {asked}: is it off in firmware?")
        }
        (None, false) => "none".to_owned(),
    };
    if !needed {
        return Finding::ok(check, format!("{found}; no PCI device needs it"));
    }
    let fix = "switch it on in firmware and boot with intel_iommu=on iommu=pt (AMD: iommu=pt); in a VM without one: echo \
               1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode";
    let wanted = "an IOMMU, so that a NIC reaches only the memory that it is given";
    match unsafe_mode {
        true => Finding::advice(check, found, wanted, fix),
        false => Finding::fault(check, found, wanted, fix),
    }
}

fn vfio(files: &Sysfs, needed: bool) -> Finding {
    let check = "vfio-pci";
    if files.has("/sys/bus/pci/drivers/vfio-pci") {
        return Finding::ok(check, "loaded");
    }
    match needed {
        false => Finding::ok(check, "not loaded; no PCI device needs it"),
        true => {
            Finding::fault(check, "not loaded", "the driver that hands NICs to DPDK", "modprobe vfio-pci")
        }
    }
}

fn device(files: &Sysfs, needs: &Needs, address: &str) -> Finding {
    let (check, folder) = ("device", folder(address));
    if !files.has(&folder) {
        let fix = "lspci -D lists those that do";
        return Finding::fault(check, format!("{address} does not exist"), "a PCI device", fix);
    }
    let interfaces = files.names(&format!("{folder}/net"));
    let bound = driver(files, address);
    let name = bound.as_deref().unwrap_or("no driver");
    if name != "vfio-pci" && !BIFURCATED.contains(&name) {
        let found = match interfaces.is_empty() {
            true => format!("{address} has {name}"),
            false => format!("{address} has {name} and is {} in the kernel", listed(&interfaces)),
        };
        let unbind =
            bound.as_ref().map(|_| format!("echo {address} > {folder}/driver/unbind; ")).unwrap_or_default();
        let fix = format!(
            "echo vfio-pci > {folder}/driver_override; {unbind}echo {address} > /sys/bus/pci/drivers_probe (or \
             dpdk-devbind.py --bind=vfio-pci {address})"
        );
        return Finding::fault(check, found, "vfio-pci; the kernel loses the device", fix);
    }
    let pinned =
        files.text(&format!("{folder}/driver_override")).filter(|text| text != "(null)" && !text.is_empty());
    let lasting = if pinned.is_some() { ", by driver_override" } else { "" };
    // -1 where the firmware does not say.
    let node = files.text(&format!("{folder}/numa_node")).and_then(|text| text.parse::<usize>().ok());
    let local = node.map(|node| files.cores(&format!("/sys/devices/system/node/node{node}/cpulist")));
    if let (Some(node), Some(local)) = (node, local)
        && let Some(far) = needs.workers.iter().find(|core| !local.contains(core))
    {
        return Finding::advice(
            check,
            format!("{address} has {name}{lasting}, on node {node}; core {far} is on another"),
            "workers on their NIC's node: each frame crosses over otherwise",
            format!("choose cores.workers from {}", super::sysfs::ranges(&local)),
        );
    }
    Finding::ok(check, format!("{address} has {name}{lasting}"))
}

fn interface(host: &Host, driver: &str, interface: &str) -> Vec<Finding> {
    let check = "interface";
    // Not /sys/class/net: that shows the namespace in which it was mounted.
    let all = host.files.text("/proc/self/net/dev").unwrap_or_default();
    let mut names = all.lines().skip(2).filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim());
    if !names.any(|name| name == interface) {
        return vec![Finding::fault(
            check,
            format!("{interface} ({driver}) does not exist in this network namespace"),
            "an interface for the port",
            "ip link lists those that do; ip netns exec NAME weir ... looks into another namespace",
        )];
    }
    let there = Finding::ok(check, format!("{interface} ({driver}) exists"));
    let Some(on) = (host.offloads)(interface) else { return vec![there] };
    let switches = [("gro", on.gro), ("tso", on.tso), ("gso", on.gso), ("tx", on.tx_checksum)];
    let on: Vec<&str> = switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let check = "offloads";
    if on.is_empty() {
        return vec![there, Finding::ok(check, format!("off on {interface}"))];
    }
    let fix = format!(
        "ethtool -K {interface} {}; where it is one end of a veth pair, on the other end, too",
        on.iter().map(|name| format!("{name} off")).collect::<Vec<_>>().join(" ")
    );
    let wanted = "frames as they are on the wire: merged ones exceed a buffer, and checksums left to a device are wrong";
    vec![there, Finding::advice(check, format!("{} on at {interface}", listed(on)), wanted, fix)]
}
