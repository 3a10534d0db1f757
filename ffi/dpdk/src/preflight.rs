//! Checks before `rte_eal_init`, which reports the same lacks as "Cannot init memory" or ends the process.

use crate::{EalConfig, EalError};
use std::fs;
use std::path::Path;

/// One directory per page size, each with its count of free pages.
const HUGEPAGE_POOLS: &str = "/sys/kernel/mm/hugepages";

pub(crate) fn check(config: &EalConfig) -> Result<(), EalError> {
    check_cores(config, weir_cpu::permitted_cpus()?)?;
    if config.hugepages {
        check_hugepages(Path::new(HUGEPAGE_POOLS), config.memory_mb.into())
    } else {
        Ok(())
    }
}

fn check_cores(config: &EalConfig, allowed: Vec<usize>) -> Result<(), EalError> {
    let wanted = 1 + config.worker_cpus.len();
    let max = weir_dpdk_sys::RTE_MAX_LCORE as usize;
    if wanted > max {
        return Err(EalError::TooManyLcores { wanted, max });
    }
    let mut cpus = std::iter::once(config.main_cpu).chain(config.worker_cpus.iter().copied());
    match cpus.find(|cpu| !allowed.contains(cpu)) {
        Some(cpu) => Err(EalError::NoSuchCpu { cpu, allowed }),
        None => Ok(()),
    }
}

fn check_hugepages(pools: &Path, needed_mb: u64) -> Result<(), EalError> {
    // A kernel without hugepages has no such directory: none are free.
    let free_mb = fs::read_dir(pools)
        .map(|sizes| sizes.flatten().filter_map(|size| free_kb(&size.path())).sum::<u64>() / 1024)
        .unwrap_or(0);
    if free_mb < needed_mb { Err(EalError::TooFewHugepages { needed_mb, free_mb }) } else { Ok(()) }
}

/// Free memory in the pool `.../hugepages-<size>kB`.
fn free_kb(pool: &Path) -> Option<u64> {
    let size: u64 =
        pool.file_name()?.to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    let free: u64 = fs::read_to_string(pool.join("free_hugepages")).ok()?.trim().parse().ok()?;
    size.checked_mul(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_pages_of_all_sizes_count() {
        let pools = tempfile::tempdir().unwrap();
        for (name, free) in [("hugepages-2048kB", "10\n"), ("hugepages-1048576kB", "1\n"), ("other", "x")] {
            fs::create_dir(pools.path().join(name)).unwrap();
            fs::write(pools.path().join(name).join("free_hugepages"), free).unwrap();
        }
        assert_eq!(check_hugepages(pools.path(), 1044), Ok(()));
        let refused = check_hugepages(pools.path(), 1045).unwrap_err();
        assert_eq!(refused, EalError::TooFewHugepages { needed_mb: 1045, free_mb: 1044 });
        assert!(refused.to_string().contains("scripts/hugepages.sh 523"), "{refused}");
    }

    #[test]
    fn a_kernel_without_hugepages_has_none_free() {
        let refused = check_hugepages(Path::new("/nonexistent"), 1).unwrap_err();
        assert_eq!(refused, EalError::TooFewHugepages { needed_mb: 1, free_mb: 0 });
    }

    #[test]
    fn cores_are_checked_by_number() {
        let mut config = EalConfig { main_cpu: 0, worker_cpus: vec![1, 1], ..EalConfig::default() };
        assert_eq!(check_cores(&config, vec![0, 1]), Ok(()), "two workers may share a core");
        let refused = check_cores(&config, vec![0]).unwrap_err();
        assert_eq!(refused, EalError::NoSuchCpu { cpu: 1, allowed: vec![0] });
        config.worker_cpus = vec![0; 4096];
        assert!(matches!(check_cores(&config, vec![0]), Err(EalError::TooManyLcores { wanted: 4097, .. })));
    }
}
