//! `weir doctor` on machines that are a few files each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use weir_netdev::Offloads;
use weir_shell::config::Device;
use weir_shell::doctor::{Findings, Host, Level, Needs, Sysfs, examine};

/// Writes a machine's files: lines of `path text`, `path -> target` for a link, `\n` for a line break.
fn machine(root: &Path, lines: &str) {
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let (path, text) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let at = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, at).unwrap(),
            None => fs::write(at, text.replace("\\n", "\n") + "\n").unwrap(),
        }
    }
}

fn host(root: &Path) -> Host {
    Host {
        files: Sysfs::new(root),
        offloads: |_| None,
        executors: vec![("scalar", Ok(())), ("avx512_vnni", Ok(()))],
        onnx_runtime: Ok("1.26.0 at /opt/weir/libonnxruntime.so".to_owned()),
        dpdk: Some(("22.11.8".to_owned(), "DPDK 22.11.11".to_owned())),
    }
}

fn needs(devices: Vec<Device>) -> Needs {
    Needs {
        real: true,
        hugepages_mb: 512,
        memory_mb: 512,
        control: 0,
        workers: vec![2, 3],
        devices,
        learns: false,
    }
}

fn render(host: &Host, needs: Option<&Needs>) -> (String, usize) {
    let findings = Findings { version: 1, config: None, findings: examine(host, needs) };
    (findings.render(), findings.count(Level::Fault))
}

const GOOD: &str = r"
/proc/cpuinfo processor : 0\nflags : fpu constant_tsc nonstop_tsc avx2
/proc/cmdline quiet intel_iommu=on iommu=pt isolcpus=2-3 nohz_full=2-3
/proc/sys/kernel/osrelease 6.1.0-30-amd64
/proc/self/status Name: weir\nCapEff: 000001ffffffffff\nCpus_allowed_list: 0-1,4-7
/proc/self/limits Max open files 1024 524288 files\nMax locked memory unlimited unlimited bytes
/proc/self/mounts proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw 0 0
/sys/devices/system/clocksource/clocksource0/current_clocksource tsc
/sys/devices/system/cpu/isolated 2-3
/sys/devices/system/cpu/nohz_full 2-3
/sys/devices/system/cpu/online 0-3
/sys/devices/system/cpu/cpu2/topology/thread_siblings_list 2,6
/sys/devices/system/cpu/cpu3/topology/thread_siblings_list 3,7
/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor performance
/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor performance
/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages 1024
/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 1024
/sys/devices/system/node/node0/cpulist 0-3
/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages 512
/sys/devices/system/node/node0/hugepages/hugepages-2048kB/free_hugepages 512
/sys/devices/system/node/node1/cpulist 4-7
/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages 512
/sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages 512
/sys/kernel/mm/transparent_hugepage/enabled always [madvise] never
/sys/kernel/iommu_groups/0/type DMA
/sys/kernel/iommu_groups/1/type DMA
/sys/class/iommu/dmar0/x
/sys/bus/pci/drivers/vfio-pci/new_id
/sys/bus/pci/devices/0000:03:00.0/driver -> ../../../bus/pci/drivers/vfio-pci
/sys/bus/pci/devices/0000:03:00.0/driver_override vfio-pci
/sys/bus/pci/devices/0000:03:00.0/numa_node 0
/sys/bus/pci/devices/0000:03:00.1/driver -> ../../../bus/pci/drivers/mlx5_core
/sys/bus/pci/devices/0000:03:00.1/driver_override (null)
/sys/bus/pci/devices/0000:03:00.1/numa_node -1
";

fn pci() -> Vec<Device> {
    vec![Device::Pci("0000:03:00.0".to_owned()), Device::Pci("0000:03:00.1".to_owned())]
}

#[test]
fn a_good_host() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path(), GOOD);
    let (text, faults) = render(&host(root.path()), Some(&needs(pci())));
    assert_eq!(faults, 0);
    insta::assert_snapshot!(text);
}

const BARE: &str = r"
/proc/cpuinfo processor : 0\nflags : fpu constant_tsc
/proc/cmdline quiet intel_iommu=on
/proc/sys/kernel/osrelease 6.1.0-30-cloud-amd64
/proc/self/status Name: weir\nCapEff: 0000000000000000\nCpus_allowed_list: 0-2
/proc/self/limits Max open files 256 524288 files\nMax locked memory 8388608 8388608 bytes
/proc/self/mounts proc /proc proc rw 0 0
/sys/devices/system/clocksource/clocksource0/current_clocksource kvm-clock
/sys/devices/system/clocksource/clocksource0/available_clocksource kvm-clock tsc acpi_pm
/sys/devices/system/cpu/online 0-3
/sys/devices/system/cpu/cpu2/topology/thread_siblings_list 2-3
/sys/devices/system/cpu/cpu3/topology/thread_siblings_list 2-3
/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages 10
/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages 4
/sys/kernel/mm/transparent_hugepage/enabled [always] madvise never
/sys/bus/pci/devices/0000:03:00.0/driver -> ../../../bus/pci/drivers/virtio-pci
/sys/bus/pci/devices/0000:03:00.0/net/eth1/x
";

#[test]
fn a_bare_virtual_machine() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path(), BARE);
    let mut host = host(root.path());
    host.executors[1].1 = Err("this processor has no AVX-512 VNNI".to_owned());
    host.onnx_runtime = Err("no ONNX Runtime at third_party/ort/libonnxruntime.so".to_owned());
    host.dpdk = None;
    let (text, faults) = render(&host, Some(&needs(pci())));
    assert!(faults >= 8, "{text}");
    insta::assert_snapshot!(text);
    let learns = Needs { learns: true, ..needs(pci()) };
    let (text, more) = render(&host, Some(&learns));
    assert!(text.contains("without it the model of this configuration does not learn"), "{text}");
    assert_eq!(more, faults, "it forwards and paces all the same");
    fs::write(root.path().join("sys/kernel/mm/transparent_hugepage/enabled"), "always madvise [never]\n")
        .unwrap();
    let (text, _) = render(&host, Some(&needs(pci())));
    assert!(text.contains("madvise: tables of many flows lie on large pages"), "{text}");
    // The same machine under a configuration of capture files: nothing that it lacks is needed.
    assert_eq!(render(&host, None).1, 0);
}

#[test]
fn kernel_interfaces_and_another_dpdk() {
    let root = tempfile::tempdir().unwrap();
    machine(root.path(), GOOD);
    machine(root.path(), r"/proc/self/net/dev Inter-| Receive\n face |bytes\n    lo: 1 2\nweir-in: 3 4");
    // As a container has it: no root, no governor of its own.
    machine(root.path(), r"/proc/self/status CapEff: 0000000000002000\nCpus_allowed_list: 0-3");
    machine(root.path(), "/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor powersave");
    let mut host = host(root.path());
    host.offloads = |_| Some(Offloads { tso: true, gro: true, ..Offloads::default() });
    host.dpdk = Some(("22.11.8".to_owned(), "DPDK 23.11.0".to_owned()));
    let port = |driver: &str, interface: &str| Device::Virtual(format!("{driver},iface={interface}"));
    let devices = vec![port("net_af_packet0", "weir-in"), port("net_af_packet1", "weir-out")];
    let needs = Needs { hugepages_mb: 0, ..needs(devices) };
    let (text, faults) = render(&host, Some(&needs));
    assert_eq!(faults, 3, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_machine_without_any_files_is_no_reason_to_fail() {
    let root = tempfile::tempdir().unwrap();
    let (text, _) = render(&host(root.path()), Some(&needs(pci())));
    assert!(text.contains("0000:03:00.0 does not exist"), "{text}");
    assert_eq!(render(&host(root.path()), Some(&Needs::usual())).1, 0);
}

/// On whatever machine this is: it ends, says something about each part, and its JSON is one line.
#[test]
fn the_program_runs_here() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let doctor = |arguments: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("doctor").args(arguments).current_dir(&root).output().unwrap()
    };
    let plain = doctor(&[]);
    assert!(plain.status.success(), "without a configuration nothing is at fault: {plain:?}");
    let json = doctor(&["conf/pcap.toml", "--json"]);
    assert!(json.status.success(), "{json:?}");
    let text = String::from_utf8(json.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(findings["findings"].as_array().unwrap().len() > 15, "{text}");
    let broken = doctor(&["conf/pcap.toml", "--set", "engine.zeal=1"]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&broken.stdout).contains("--set engine.zeal=1: engine.zeal: unknown key")
    );
}
