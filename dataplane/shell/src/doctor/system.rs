//! The rest: kernel, libraries, privileges, limits.

use super::finding::Finding;
use super::host::{Host, Needs, listed};
use super::sysfs::Sysfs;

/// Effective capabilities of a process (`capabilities(7)`), one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capabilities(u64);

impl Capabilities {
    pub(super) const NET_ADMIN: u32 = 12;
    pub(super) const NET_RAW: u32 = 13;
    pub(super) const IPC_LOCK: u32 = 14;
    const SYS_NICE: u32 = 23;
    const NAMES: [(u32, &str); 4] = [
        (Capabilities::NET_ADMIN, "net_admin"),
        (Capabilities::NET_RAW, "net_raw"),
        (Capabilities::IPC_LOCK, "ipc_lock"),
        (Capabilities::SYS_NICE, "sys_nice"),
    ];

    pub(super) fn of(files: &Sysfs) -> Capabilities {
        let text = files.field("/proc/self/status", "CapEff").unwrap_or_default();
        Capabilities(u64::from_str_radix(&text, 16).unwrap_or(0))
    }

    pub(super) fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// Kernel, libraries, privileges, limits.
pub(super) fn check(host: &Host, needs: &Needs) -> Vec<Finding> {
    let files = &host.files;
    vec![
        Finding::ok(
            "kernel",
            files.text("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned()),
        ),
        dpdk(host, needs),
        onnx_runtime(host, needs),
        privileges(files, needs),
        descriptors(files),
    ]
}

fn dpdk(host: &Host, needs: &Needs) -> Finding {
    let check = "DPDK";
    let Some((linked, loaded)) = &host.dpdk else {
        return Finding::fault(
            check,
            "this weir was built without: it runs on capture files only",
            "a weir with DPDK for real ports",
            "make build (cargo build --release -p weir-shell --features dpdk)",
        )
        .if_needed(needs.real);
    };
    let loaded = loaded.trim_start_matches("DPDK ");
    let release = |version: &str| version.splitn(3, '.').take(2).map(str::to_owned).collect::<Vec<_>>();
    if release(linked) == release(loaded) {
        return Finding::ok(check, format!("linked to {linked}, loaded {loaded}"));
    }
    Finding::fault(
        check,
        format!("linked to {linked}, loaded {loaded}"),
        "one release: their structures differ in layout",
        "rebuild weir on this machine (make build)",
    )
}

/// Nothing on the packet path needs it: without it models decide as before, and do not learn.
fn onnx_runtime(host: &Host, needs: &Needs) -> Finding {
    let check = "ONNX Runtime";
    match &host.onnx_runtime {
        Ok(found) => Finding::ok(check, found),
        Err(reason) => Finding::advice(
            check,
            reason,
            match needs.learns {
                true => "the pinned library: without it the model of this configuration does not learn",
                false => "the pinned library, which `weir snapshot verify` asks for a second opinion",
            },
            "scripts/fetch-ort.sh",
        ),
    }
}

fn privileges(files: &Sysfs, needs: &Needs) -> Finding {
    let check = "privileges";
    let held = Capabilities::of(files);
    let named =
        |bit: u32| Capabilities::NAMES.iter().find(|(one, _)| *one == bit).map_or("", |(_, name)| name);
    let mut wanted = Vec::new();
    if needs.interfaces().next().is_some() {
        wanted.extend([Capabilities::NET_RAW, Capabilities::NET_ADMIN]);
    }
    if needs.pci().next().is_some() {
        wanted.push(Capabilities::IPC_LOCK);
    }
    let missing: Vec<&str> = wanted.iter().filter(|bit| !held.has(**bit)).map(|bit| named(*bit)).collect();
    let has = Capabilities::NAMES.iter().filter(|(bit, _)| held.has(*bit)).map(|(_, name)| *name);
    let has: Vec<&str> = has.collect();
    let found = if has.is_empty() { "none".to_owned() } else { listed(has) };
    if missing.is_empty() {
        return Finding::ok(check, found);
    }
    let set: Vec<String> = missing.iter().map(|name| format!("cap_{name}")).collect();
    Finding::fault(
        check,
        found,
        format!("{} for these ports", listed(&missing)),
        format!("run as root, or setcap {}+ep $(command -v weir)", set.join(",")),
    )
}

fn descriptors(files: &Sysfs) -> Finding {
    /// A queue of a virtual device, VFIO's groups and interrupts, a dozen connections: some hundred.
    const WANTED: u64 = 512;
    let check = "open files";
    let limits = files.text("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).unwrap_or("unknown");
    match soft.parse::<u64>() {
        Ok(limit) if limit < WANTED => Finding::advice(
            check,
            format!("at most {limit}"),
            format!("{WANTED}"),
            format!("ulimit -n {WANTED} (systemd: LimitNOFILE={WANTED})"),
        ),
        _ => Finding::ok(check, format!("at most {soft}")),
    }
}
