//! What the kernel and the caller must bring, asked before anything is loaded: the kernel's own errors are numbers.

use crate::error::BpfError;
use libbpf_rs::btf::{Btf, types};
use std::path::Path;

/// What the kernel wraps a congestion control of BPF's in, where it takes one.
const WRAPPER: &str = "bpf_struct_ops_tcp_congestion_ops";
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_BPF: u32 = 39;

pub(crate) fn check(bpffs: &Path) -> Result<(), BpfError> {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        return Err(BpfError::NoBtf);
    }
    if !is_privileged() {
        return Err(BpfError::NotPermitted);
    }
    let kernel = Btf::from_vmlinux().map_err(|_| BpfError::NoBtf)?;
    if kernel.type_by_name::<types::Struct<'_>>(WRAPPER).is_none() {
        return Err(BpfError::NoStructOps(format!("its BTF has no {WRAPPER}")));
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    if !has_links(&release) {
        return Err(BpfError::NoStructOps(format!("this is {}", release.trim())));
    }
    if !is_bpffs(bpffs) {
        return Err(BpfError::NoBpffs(bpffs.to_owned()));
    }
    Ok(())
}

/// Whether a kernel of this release keeps a registered congestion control by a link: 6.4.
fn has_links(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 4)
}

/// Whether a BPF file system is mounted there.
fn is_bpffs(path: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    mounts.lines().any(|line| {
        let mut words = line.split(' ');
        words.nth(1).is_some_and(|place| Path::new(place) == path) && words.next() == Some("bpf")
    })
}

/// Whether this process may load programs that the network runs.
pub(crate) fn is_privileged() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok()).unwrap_or(0);
    let has = |bit: u32| held >> bit & 1 == 1;
    has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_NET_ADMIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_told_by_its_release() {
        for (release, can) in [
            ("6.1.0-56-amd64\n", false),
            ("6.3.13", false),
            ("6.4.0", true),
            ("6.12.117+deb12-cloud-amd64", true),
            ("10.0-rc1", true),
            ("", false),
        ] {
            assert_eq!(has_links(release), can, "{release:?}");
        }
    }
}
