//! The processor: executors, clock, and how undisturbed the workers' cores are.

use super::finding::Finding;
use super::host::{Host, Needs, listed};
use super::sysfs::{Sysfs, cores, ranges};

/// Everything about the processor.
pub(super) fn check(host: &Host, needs: &Needs) -> Vec<Finding> {
    let files = &host.files;
    let mut findings = vec![executor(host)];
    findings.extend(counter(files));
    findings.push(clock_source(files));
    findings.push(allowed(files, needs));
    findings.push(isolation(files, needs));
    findings.push(siblings(files, needs));
    findings.push(governor(files, needs));
    findings
}

fn executor(host: &Host) -> Finding {
    let check = "executor";
    let best = host.executors.iter().rev().find(|(_, can)| can.is_ok()).map_or("none", |(name, _)| *name);
    let cannot =
        host.executors.iter().filter_map(|(name, can)| Some(format!("{name}: {}", can.as_ref().err()?)));
    let others: Vec<String> = cannot.collect();
    let found = match others.is_empty() {
        true => format!("{best}, the fastest there is"),
        false => format!("{best} ({})", listed(others)),
    };
    if best == "scalar" {
        let fix =
            "run on a processor with AVX-512 VNNI; in a VM, pass the host's processor through (-cpu host)";
        return Finding::advice(
            check,
            found,
            "a SIMD executor: the scalar one takes some ten times as long",
            fix,
        );
    }
    Finding::ok(check, found)
}

/// Weir refuses to start without: its clock is the counter. Only x86 has `flags`; elsewhere the clock is the kernel's.
fn counter(files: &Sysfs) -> Option<Finding> {
    let check = "time-stamp counter";
    let flags = files.field("/proc/cpuinfo", "flags")?;
    let missing: Vec<&str> = ["constant_tsc", "nonstop_tsc"]
        .into_iter()
        .filter(|flag| !flags.split_whitespace().any(|has| has == *flag))
        .collect();
    if missing.is_empty() {
        return Some(Finding::ok(check, "invariant (constant_tsc, nonstop_tsc)"));
    }
    Some(Finding::fault(
        check,
        format!("not invariant: /proc/cpuinfo lacks {}", listed(missing)),
        "a counter that ticks at one rate: it is Weir's clock",
        "in a VM, pass it through (QEMU: -cpu host,+invtsc); else another processor",
    ))
}

fn clock_source(files: &Sysfs) -> Finding {
    const FOLDER: &str = "/sys/devices/system/clocksource/clocksource0";
    let check = "clock source";
    let current =
        files.text(&format!("{FOLDER}/current_clocksource")).unwrap_or_else(|| "unknown".to_owned());
    if current == "tsc" || files.field("/proc/cpuinfo", "flags").is_none() {
        return Finding::ok(check, current);
    }
    let available = files.text(&format!("{FOLDER}/available_clocksource")).unwrap_or_default();
    let fix = match available.split_whitespace().any(|one| one == "tsc") {
        true => format!("echo tsc > {FOLDER}/current_clocksource"),
        false => "boot with tsc=reliable if the host's counter is invariant".to_owned(),
    };
    Finding::advice(
        check,
        current,
        "tsc, so that stamps in logs and captures agree with Weir's own clock",
        fix,
    )
}

fn allowed(files: &Sysfs, needs: &Needs) -> Finding {
    let check = "cores";
    let mut allowed = cores(&files.field("/proc/self/status", "Cpus_allowed_list").unwrap_or_default());
    // No thread begins on an isolated core; a worker asks for it by number. One that the cpuset closes is refused when
    // the configuration is read.
    allowed.extend(files.cores("/sys/devices/system/cpu/isolated"));
    allowed.sort_unstable();
    allowed.dedup();
    let wanted = || needs.workers.iter().chain([&needs.control]);
    let closed: Vec<&usize> = wanted().filter(|core| !allowed.contains(core)).collect();
    let uses = format!("control {}, workers {}", needs.control, ranges(&needs.workers));
    if closed.is_empty() {
        return Finding::ok(check, format!("{uses}; this process may use {}", ranges(&allowed)));
    }
    Finding::fault(
        check,
        format!("core {} is closed to this process, which may use {}", listed(closed), ranges(&allowed)),
        uses,
        "change [cores], or widen the cpuset (systemd: AllowedCPUs=, containers: --cpuset-cpus)",
    )
    .if_needed(needs.real)
}

fn isolation(files: &Sysfs, needs: &Needs) -> Finding {
    let check = "isolation";
    let of_option = |name: &str| cores(&files.boot_option(name).unwrap_or_default());
    let isolated = files.cores("/sys/devices/system/cpu/isolated");
    let tickless = files.cores("/sys/devices/system/cpu/nohz_full");
    // nohz_full takes its cores' callbacks along.
    let offloaded = [of_option("rcu_nocbs"), tickless.clone()].concat();
    let lacks: Vec<&str> = [("isolcpus", &isolated), ("nohz_full", &tickless), ("rcu_nocbs", &offloaded)]
        .into_iter()
        .filter(|(_, has)| needs.workers.iter().any(|core| !has.contains(core)))
        .map(|(name, _)| name)
        .collect();
    let workers = ranges(&needs.workers);
    if lacks.is_empty() {
        return Finding::ok(check, format!("core {workers} belongs to its worker alone"));
    }
    Finding::advice(
        check,
        format!("the kernel may interrupt core {workers} (no {})", listed(&lacks)),
        "a worker's core to itself: each interruption is a gap in pacing",
        format!(
            "boot with {}",
            lacks.iter().map(|name| format!("{name}={workers}")).collect::<Vec<_>>().join(" ")
        ),
    )
}

fn siblings(files: &Sysfs, needs: &Needs) -> Finding {
    let check = "sibling threads";
    let online = files.cores("/sys/devices/system/cpu/online");
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for &core in &needs.workers {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
        let others = files.cores(&path).into_iter().filter(|other| *other != core && online.contains(other));
        pairs.extend(others.map(|other| (core, other)));
    }
    if pairs.is_empty() {
        return Finding::ok(check, "each worker has a physical core");
    }
    let ours = |core: usize| core == needs.control || needs.workers.contains(&core);
    let fix: Vec<String> = pairs
        .iter()
        .filter(|(_, other)| !ours(*other))
        .map(|(_, other)| format!("echo 0 > /sys/devices/system/cpu/cpu{other}/online"))
        .collect();
    let fix = match pairs.iter().any(|(_, other)| ours(*other)) {
        true => "choose [cores] that are no siblings (lscpu -e shows which are)".to_owned(),
        false => fix.join("; "),
    };
    Finding::advice(
        check,
        listed(
            pairs.iter().map(|(core, other)| format!("core {core} shares its physical core with {other}")),
        ),
        "a physical core for each worker: a busy sibling takes a good part of its speed",
        fix,
    )
}

fn governor(files: &Sysfs, needs: &Needs) -> Finding {
    let check = "frequency";
    let governor =
        |core: &usize| files.text(&format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor"));
    let slow: Vec<usize> = needs
        .workers
        .iter()
        .copied()
        .filter(|core| governor(core).is_some_and(|governor| governor != "performance"))
        .collect();
    if let Some(name) = slow.first().and_then(governor) {
        let fix: Vec<String> = slow
            .iter()
            .map(|core| {
                format!("echo performance > /sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor")
            })
            .collect();
        let found = format!("governor {name} on core {}", ranges(&slow));
        return Finding::advice(
            check,
            found,
            "performance: no climb from idle clocks at a burst",
            fix.join("; "),
        );
    }
    match needs.workers.iter().any(|core| governor(core).is_some()) {
        true => Finding::ok(check, "governor performance"),
        false => Finding::ok(check, "not in this kernel's hands"),
    }
}
