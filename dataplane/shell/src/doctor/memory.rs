//! Memory: hugepages, and how much of it may be pinned.

use super::finding::Finding;
use super::host::Needs;
use super::sysfs::Sysfs;
use super::system::Capabilities;

const POOLS: &str = "/sys/kernel/mm/hugepages";

/// Everything about memory.
pub(super) fn check(files: &Sysfs, needs: &Needs, capabilities: Capabilities) -> Vec<Finding> {
    let mut findings = vec![hugepages(files, needs)];
    findings.extend(near(files, needs));
    findings.push(mount(files));
    findings.push(locked(files, needs, capabilities));
    findings.push(transparent(files, needs));
    findings
}

/// A pool's page size in MB, and how many of its pages there are and are free.
struct Pool {
    page_kb: u64,
    total: u64,
    free: u64,
}

fn pools(files: &Sysfs, folder: &str) -> Vec<Pool> {
    let pool = |name: &String| {
        let page_kb = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        let number = |file: &str| files.number(&format!("{folder}/{name}/{file}"));
        Some(Pool { page_kb, total: number("nr_hugepages")?, free: number("free_hugepages")? })
    };
    files.names(folder).iter().filter_map(pool).collect()
}

fn free_mb(pools: &[Pool]) -> u64 {
    pools.iter().map(|pool| pool.free.saturating_mul(pool.page_kb)).sum::<u64>() / 1024
}

fn hugepages(files: &Sysfs, needs: &Needs) -> Finding {
    let check = "hugepages";
    let pools = pools(files, POOLS);
    let free = free_mb(&pools);
    if needs.hugepages_mb == 0 {
        let found = format!("not asked for (eal.hugepages = false); {free} MB are free");
        return Finding::advice(check, found, "hugepages: twice the speed", "set eal.hugepages = true");
    }
    if free >= needs.hugepages_mb {
        return Finding::ok(check, format!("{free} MB are free, {} MB wanted", needs.hugepages_mb));
    }
    let wanted = format!("{} MB free", needs.hugepages_mb);
    let Some(small) = pools.iter().find(|pool| pool.page_kb == 2_048) else {
        let fix = "use a kernel with hugepages, or set eal.hugepages = false at half the speed";
        return Finding::fault(check, "this kernel has none of 2 MB", wanted, fix).if_needed(needs.real);
    };
    let pages = small.total + (needs.hugepages_mb - free).div_ceil(2);
    let fix = format!("sysctl -w vm.nr_hugepages={pages}");
    Finding::fault(check, format!("{free} MB are free"), wanted, fix).if_needed(needs.real)
}

/// On a machine of several nodes: whether the workers' node has them.
fn near(files: &Sysfs, needs: &Needs) -> Option<Finding> {
    const NODES: &str = "/sys/devices/system/node";
    let nodes: Vec<String> = files.names(NODES).into_iter().filter(|name| name.starts_with("node")).collect();
    let worker = needs.workers.first().filter(|_| nodes.len() > 1 && needs.hugepages_mb > 0)?;
    let node = nodes.iter().find(|node| files.cores(&format!("{NODES}/{node}/cpulist")).contains(worker))?;
    let pool = format!("{NODES}/{node}/hugepages");
    let pools = pools(files, &pool);
    let (check, free) = ("hugepages near", free_mb(&pools));
    if free >= needs.hugepages_mb {
        return Some(Finding::ok(check, format!("{free} MB are free on {node}, the workers' own")));
    }
    let total = pools.iter().find(|pool| pool.page_kb == 2_048).map_or(0, |pool| pool.total);
    let pages = total + (needs.hugepages_mb - free).div_ceil(2);
    Some(Finding::advice(
        check,
        format!("{free} MB are free on {node}, the workers' own"),
        format!("{} MB there: memory of another node is slower", needs.hugepages_mb),
        format!("echo {pages} > {pool}/hugepages-2048kB/nr_hugepages"),
    ))
}

fn mount(files: &Sysfs) -> Finding {
    let mounts = files.text("/proc/self/mounts").unwrap_or_default();
    let place = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let place = words.nth(1)?;
        (words.next() == Some("hugetlbfs")).then(|| place.to_owned())
    });
    let found = match place {
        Some(place) => format!("hugetlbfs at {place}; not needed, Weir's pages are anonymous"),
        None => "no hugetlbfs; not needed, Weir's pages are anonymous".to_owned(),
    };
    Finding::ok("hugepage mount", found)
}

/// VFIO pins what a device may reach, and the limit counts that.
fn locked(files: &Sysfs, needs: &Needs, capabilities: Capabilities) -> Finding {
    let check = "locked memory";
    let limits = files.text("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"));
    let soft = line.and_then(|line| line.split_whitespace().next()).unwrap_or("unknown");
    if capabilities.has(Capabilities::IPC_LOCK) {
        return Finding::ok(check, "no limit (CAP_IPC_LOCK)");
    }
    match soft.parse::<u64>() {
        Ok(bytes) if bytes / (1 << 20) < needs.memory_mb => Finding::fault(
            check,
            format!("at most {} MB", bytes / (1 << 20)),
            format!("{} MB: a NIC's driver pins all of it", needs.memory_mb),
            "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity), or give CAP_IPC_LOCK",
        )
        .if_needed(needs.real && needs.pci().next().is_some()),
        Ok(bytes) => Finding::ok(check, format!("at most {} MB", bytes / (1 << 20))),
        Err(_) => Finding::ok(check, soft),
    }
}

fn transparent(files: &Sysfs, needs: &Needs) -> Finding {
    const SWITCH: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
    let check = "transparent hugepages";
    let text = files.text(SWITCH).unwrap_or_default();
    let chosen = text.split(['[', ']']).nth(1).unwrap_or("not in this kernel");
    let wanted = match chosen {
        "always" if needs.hugepages_mb > 0 => {
            "madvise: the kernel's search for pages to merge interrupts workers"
        }
        "never" => "madvise: tables of many flows lie on large pages",
        _ => return Finding::ok(check, chosen),
    };
    Finding::advice(check, chosen, wanted, format!("echo madvise > {SWITCH}"))
}
