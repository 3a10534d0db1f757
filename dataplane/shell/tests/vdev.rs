//! `weir run` on DPDK's virtual devices, without hugepages, root or a NIC.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![cfg(feature = "dpdk")]

mod running;

use running::{FILE, Weir, ctl, get, scrape, signal, start_in};
use std::io::Read;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
[eal]
hugepages = false
memory_mb = 96

[cores]
control = 0
workers = [0]
shared = true

[ports]
inside = "net_null0"
outside = "net_null1"

[engine]
flows_max = 1024
half_open_max = 1024
held_max = 1024

[pacing]
rule = "bbr_lite"
rate_min = "500kbps"
rate_max = "10Gbps"
rate_start = "10Mbps"
mark_delay = "10ms"
delay_max = "100ms"
flow_held_bytes_max = "1MiB"

[metrics]
listen = "127.0.0.1:0"

[control]
socket = "weir.sock"
"#;

fn start(overrides: &[&str]) -> Weir {
    start_in(tempfile::tempdir().unwrap(), CONFIG, overrides)
}

#[test]
fn it_forwards_accounts_for_every_frame_and_stops_cleanly() {
    forwards(start(&[]), 1);
}

#[test]
fn so_do_two_workers() {
    let cores = std::thread::available_parallelism().unwrap().get();
    if cores < 2 {
        let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "two workers need two cores");
        eprintln!("SKIPPED so_do_two_workers: it needs two cores");
        return;
    }
    forwards(start(&["cores.workers=[0, 1]", "eal.memory_mb=128"]), 2);
}

fn forwards(mut weir: Weir, workers: usize) {
    let began = Instant::now();
    let mut last = 0.0;
    while began.elapsed() < Duration::from_secs(1) {
        let sums = scrape(&weir.address);
        let received = sums["weir_received_frames_total"] + sums["weir_originated_frames_total"];
        assert_eq!(
            received + sums["weir_steered_in_frames_total"],
            sums["weir_verdicts_total"] + sums["weir_held_frames"] + sums["weir_steered_out_frames_total"],
            "a scrape does not balance"
        );
        assert!(received >= last);
        last = received;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(last > 0.0, "nothing was forwarded");
    assert!(get(&weir.address, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(get(&weir.address, "/readyz").starts_with("HTTP/1.1 200 "));
    let sums = scrape(&weir.address);
    assert!(sums["weir_worker_cycles_total"] > 0.0 && sums["weir_buffers"] > 0.0);
    assert_eq!(sums["weir_port_up"], 2.0);
    let page = get(&weir.address, "/metrics");
    for worker in 0..=workers {
        let turns = format!("weir_turns_total{{worker=\"{worker}\"}} ");
        assert_eq!(page.contains(&turns), worker < workers, "{page}");
    }

    signal(&weir.child, "-TERM");
    let status = weir.child.wait().unwrap();
    let log = weir.rest_of_log();
    assert!(status.success(), "{status}: {log}");
    let mut said = String::new();
    weir.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("= accounted for"), "{said}");
}

#[test]
fn after_kill_9_it_works_at_once() {
    for _ in 0..2 {
        let mut weir = start(&[]);
        assert!(get(&weir.address, "/readyz").contains("HTTP/1.1"));
        weir.child.kill().unwrap();
        weir.child.wait().unwrap();
        weir.rest_of_log();
    }
    let mut weir = start(&[]);
    let began = Instant::now();
    while !get(&weir.address, "/readyz").starts_with("HTTP/1.1 200 ") {
        assert!(began.elapsed() < Duration::from_secs(5), "not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&weir.child, "-INT");
    assert!(weir.child.wait().unwrap().success());
    weir.rest_of_log();
}

#[test]
fn a_reload_changes_what_it_may_and_a_second_weir_keeps_away() {
    let mut weir = start(&[]);
    let reload = |text: &str| {
        let Output { status, stdout, stderr } = ctl(&weir, text, &["reload"]);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code(), text(stdout), text(stderr))
    };
    let narrow = CONFIG.replace("10Gbps", "5Gbps");
    assert_eq!(reload(CONFIG), (Some(0), "unchanged\n".to_owned(), String::new()));
    assert_eq!(reload(&narrow), (Some(0), "applied\n".to_owned(), String::new()));
    let (status, said, why) = reload(&narrow.replace("held_max = 1024", "held_max = 512"));
    assert_eq!((status, said.as_str()), (Some(1), "refused\n"));
    assert!(
        why.ends_with("null.toml:18:12: engine.held_max: needs a restart: was 1024, is now 512\n"),
        "{why}"
    );
    let (status, _, why) = reload(&narrow.replace("500kbps", "10 apples"));
    assert!(status == Some(1) && why.contains("null.toml:22:12: pacing.rate_min: expected a rate"), "{why}");

    let screen = ctl(&weir, CONFIG, &["status"]);
    let screen = String::from_utf8(screen.stdout).unwrap();
    assert!(screen.contains("1 applied, 1 unchanged, 2 refused") && screen.contains("net_null0"), "{screen}");

    // The same by the signal.
    signal(&weir.child, "-HUP");
    let began = Instant::now();
    while scrape(&weir.address)["weir_reloads_total"] < 5.0 {
        assert!(began.elapsed() < Duration::from_secs(5), "SIGHUP is not heard");
        std::thread::sleep(Duration::from_millis(20));
    }
    let sums = scrape(&weir.address);
    assert_eq!(
        (sums["weir_snapshot_swaps_seen_total"], sums["weir_config_last_reload_successful"]),
        (2.0, 1.0)
    );

    let file = weir.folder.path().join(FILE);
    let second = Command::new(env!("CARGO_BIN_EXE_weir")).arg("run").arg(&file).output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process listens at"), "{second:?}");

    // What a killed one leaves behind is no hindrance.
    weir.child.kill().unwrap();
    weir.child.wait().unwrap();
    weir.rest_of_log();
    assert!(weir.folder.path().join("weir.sock").exists());
    let folder = std::mem::replace(&mut weir.folder, tempfile::tempdir().unwrap());
    let mut weir = start_in(folder, CONFIG, &[]);
    assert!(ctl(&weir, CONFIG, &["status", "--json"]).status.success());
    signal(&weir.child, "-TERM");
    assert!(weir.child.wait().unwrap().success());
    weir.rest_of_log();
    assert!(!weir.folder.path().join("weir.sock").exists(), "it takes its socket with it");
}
