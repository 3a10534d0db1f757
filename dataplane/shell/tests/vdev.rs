//! `weir run` on DPDK's virtual devices, without hugepages, root or a NIC.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![cfg(feature = "dpdk")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
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
"#;

struct Weir {
    child: Child,
    address: String,
    /// Keeps the configuration, and the reading end of the log, until the end.
    _folder: tempfile::TempDir,
    log: std::thread::JoinHandle<String>,
}

/// Starts it with one key overridden, or none, and waits until it says where it serves.
fn start(overrides: &[&str]) -> Weir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("null.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("run")
        .arg(&file)
        .args(overrides.iter().flat_map(|assignment| ["--set", assignment]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("weir ended: {seen}")).unwrap();
        seen.push_str(&line);
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split('/').next().unwrap().to_owned();
        }
    };
    let log = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    Weir { child, address, _folder: folder, log }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: weir\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sum of each metric over its labels.
fn scrape(address: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let page = get(address, "/metrics");
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap().to_owned();
        *sums.entry(name).or_insert(0.0) += value.parse::<f64>().unwrap();
    }
    sums
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
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
    let log = weir.log.join().unwrap();
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
        weir.log.join().unwrap();
    }
    let mut weir = start(&[]);
    let began = Instant::now();
    while !get(&weir.address, "/readyz").starts_with("HTTP/1.1 200 ") {
        assert!(began.elapsed() < Duration::from_secs(5), "not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    signal(&weir.child, "-INT");
    assert!(weir.child.wait().unwrap().success());
    weir.log.join().unwrap();
}
