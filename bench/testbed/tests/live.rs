//! Weir itself on real wires: root, namespaces, hugepages and a `weir` built with DPDK. One at a time
//! (`--test-threads 1`): they share two cores and Weir's hugepages.
#![allow(clippy::unwrap_used)] // Clippy exempts test functions only; here the helpers are test code too.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU, SERVER_V4, SERVER_V6};
use weir_testbed::interrupt::Interrupt;
use weir_testbed::iperf::{Iperf, Plan};
use weir_testbed::netns::Netns;
use weir_testbed::ping::reaches;
use weir_testbed::weir::{Counters, Weir};

const SECOND: Duration = Duration::from_secs(1);

/// Where `weir` and its configuration are, or why the test cannot run.
struct Means {
    weir: PathBuf,
    config: PathBuf,
    logs: TempDir,
    interrupt: Interrupt,
}

impl Means {
    /// Prints why not, or panics where nothing may be skipped.
    fn find(test: &str) -> Option<Means> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let weir =
            std::env::var_os("WEIR_BIN").map_or_else(|| root.join("target/release/weir"), PathBuf::from);
        let missing = if !weir.is_file() {
            Some(format!("no weir at {}: `make build` makes it", weir.display()))
        } else {
            Netns::new("probe").err().map(|error| format!("{error:#}"))
        };
        if let Some(why) = missing {
            assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "{test}: {why}");
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
            return None;
        }
        let logs = tempfile::tempdir().unwrap();
        Some(Means { weir, config: root.join("conf/demo.toml"), logs, interrupt: Interrupt::default() })
    }

    fn start(&self, bed: &Bed, overrides: &[&str]) -> Weir {
        let netns = bed.weir.as_ref().unwrap();
        Weir::start(&self.weir, &self.config, overrides, netns, self.logs.path(), &self.interrupt).unwrap()
    }

    fn reaches(&self, bed: &Bed, address: &str) -> bool {
        reaches(&bed.client, address, self.logs.path(), 3 * SECOND, &self.interrupt).unwrap()
    }

    /// One IPv4 TCP flow of `seconds`, already sending.
    fn flow(&self, bed: &Bed, seconds: u32) -> Iperf {
        let plan = Plan { name: "flow", address: SERVER_V4, port: 5201, flows: 1, seconds };
        let mut iperf = Iperf::serve(plan, &bed.server, self.logs.path(), CPU).unwrap();
        std::thread::sleep(SECOND / 3);
        iperf.send(plan, &bed.client, self.logs.path(), CPU).unwrap();
        iperf
    }
}

fn counters(weir: &mut Weir, bed: &Bed) -> Counters {
    let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
    let counters = Counters::of(&scrape).unwrap();
    assert!(counters.balanced(), "{counters:?}");
    counters
}

/// Bytes that reached the link towards the server, and when, by the link's own clock.
fn offered(bed: &Bed) -> (f64, f64) {
    let last = bed.link.reports().last().copied().unwrap();
    (last.link.up.counters.in_bytes as f64, last.link.at_ns as f64 / 1e9)
}

#[test]
fn a_fixed_rate_holds_within_one_percent_over_ten_seconds() {
    let Some(means) = Means::find("fixed rate") else { return };
    // Wide enough that only Weir shapes the flow.
    let wide = Settings { rate_bps: Some(1_000_000_000), ..Settings::default() };
    let bed = Bed::new(true, wide, 1).unwrap();
    // Late marks: at the default of 10 ms, half this path's RTT, a window that has just been cut no longer fills the
    // rate, and the test would measure the sender.
    let fixed = ["pacing.rule=fixed", "pacing.rate=20Mbps", "pacing.model=", "pacing.mark_delay=90ms"];
    let mut weir = means.start(&bed, &fixed);
    assert!(means.reaches(&bed, SERVER_V4));
    let flow = means.flow(&bed, 14);
    // Past the handshake and slow start; ends before the sender does.
    std::thread::sleep(2 * SECOND);
    let (bytes_from, from_s) = offered(&bed);
    std::thread::sleep(10 * SECOND);
    let (bytes_to, to_s) = offered(&bed);
    let rate_mbps = (bytes_to - bytes_from) * 8e-6 / (to_s - from_s);
    assert!((rate_mbps - 20.0).abs() <= 0.2, "{rate_mbps} Mb/s over {:.2} s", to_s - from_s);
    flow.finish(&means.interrupt).unwrap();
    assert!(counters(&mut weir, &bed).account.verdicts["paced"] > 10_000);
    assert!(weir.stop(&means.interrupt).unwrap().success());
}

#[test]
fn traffic_resumes_within_two_seconds_of_a_kill_and_restart() {
    let Some(means) = Means::find("kill and restart") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let mut weir = means.start(&bed, &[]);
    assert!(means.reaches(&bed, SERVER_V4));
    let flow = means.flow(&bed, 12);
    std::thread::sleep(3 * SECOND);
    weir.process().signal(Signal::SIGKILL).unwrap();
    weir.process().wait(5 * SECOND, &means.interrupt).unwrap();
    let restarted = Instant::now();
    let mut weir = means.start(&bed, &[]);
    // Some hundred frames: traffic again, and not the odd probe of a sender that has given up hope.
    let (before, _) = offered(&bed);
    while offered(&bed).0 - before < 125_000.0 {
        assert!(restarted.elapsed() < 2 * SECOND, "nothing flows 2 s after the restart");
        std::thread::sleep(SECOND / 50);
    }
    flow.finish(&means.interrupt).unwrap();
    let counters = counters(&mut weir, &bed);
    assert!(counters.account.received > 1_000, "{counters:?}");
    assert!(weir.stop(&means.interrupt).unwrap().success());
}

#[test]
fn every_frame_is_accounted_for_and_strangers_pass() {
    let Some(means) = Means::find("accounting") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let mut weir = means.start(&bed, &[]);
    // Neighbours are resolved through Weir: the first echo needs ARP, the second NDP.
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    let udp_server = ["iperf3", "-s", "-1", "-J", "-p", "5300"];
    let mut udp_server = bed.server.spawn("udp-server", means.logs.path(), Some(CPU), &udp_server).unwrap();
    let flow = means.flow(&bed, 6);
    let udp = ["iperf3", "-c", SERVER_V6, "-u", "-b", "5M", "-J", "-p", "5300", "-t", "4"];
    let mut udp = bed.client.spawn("udp-client", means.logs.path(), Some(CPU), &udp).unwrap();
    for _ in 0..20 {
        std::thread::sleep(SECOND / 5);
        counters(&mut weir, &bed);
    }
    assert!(udp.wait(10 * SECOND, &means.interrupt).unwrap().success());
    assert!(udp_server.wait(10 * SECOND, &means.interrupt).unwrap().success());
    flow.finish(&means.interrupt).unwrap();
    let report: serde_json::Value = serde_json::from_str(&udp_server.output().unwrap()).unwrap();
    // The intervals, because this side's closing sum is the sender's in some versions of iperf3.
    let intervals = report["intervals"].as_array().unwrap();
    let received: f64 = intervals.iter().filter_map(|interval| interval["sum"]["bytes"].as_f64()).sum();
    // 5 Mb/s for 4 s; TCP shares the queue, so some loss is its right.
    assert!(received > 0.8 * 2_500_000.0, "{received} B of UDP arrived");
    let counters = counters(&mut weir, &bed);
    for verdict in ["untracked", "paced", "forwarded"] {
        assert!(counters.account.verdicts[verdict] > 0, "{verdict}: {counters:?}");
    }
    assert!(weir.stop(&means.interrupt).unwrap().success());
}

#[test]
fn two_workers_share_two_ports_of_two_queues_and_their_books_balance_in_every_scrape() {
    let Some(means) = Means::find("two workers") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    // The kernel's fanout spreads the frames over the queues by its own hash: to the wrong worker for half of the flows.
    let port = |side: &str, number: u32, interface: &str| {
        format!(
            "ports.{side}=net_af_packet{number},iface={interface},blocksz=65536,framesz=2048,framecnt=2048,qpairs=2"
        )
    };
    let (inside, outside) = (port("inside", 0, "weir-in"), port("outside", 1, "weir-out"));
    let mut weir = means.start(&bed, &["cores.workers=[0, 1]", "cores.shared=true", &inside, &outside]);
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    let plans = [("v4", SERVER_V4, 5201), ("v6", SERVER_V6, 5202)].map(|(name, address, port)| Plan {
        name,
        address,
        port,
        flows: 6,
        seconds: 6,
    });
    let senders = plans.map(|plan| {
        let mut iperf = Iperf::serve(plan, &bed.server, means.logs.path(), CPU).unwrap();
        std::thread::sleep(SECOND / 3);
        iperf.send(plan, &bed.client, means.logs.path(), CPU).unwrap();
        iperf
    });
    for _ in 0..20 {
        std::thread::sleep(SECOND / 4);
        let seen = counters(&mut weir, &bed);
        assert_eq!(seen.workers.len(), 2, "{seen:?}");
    }
    for (sender, plan) in senders.into_iter().zip(plans) {
        let flows = sender.finish(&means.interrupt).unwrap();
        let bytes: Vec<f64> =
            flows.iter().map(|flow| flow.received.iter().map(|point| point.value).sum()).collect();
        assert_eq!(bytes.len(), 6, "{}", plan.name);
        assert!(bytes.iter().all(|bytes| *bytes > 50_000.0), "{}: {bytes:?}", plan.name);
    }
    let seen = counters(&mut weir, &bed);
    assert!(seen.account.steered_out > 1_000, "{seen:?}");
    assert!(seen.workers.iter().all(|worker| worker.received > 100 && worker.steered_in > 100), "{seen:?}");
    assert!(seen.account.verdicts["paced"] > 1_000, "{seen:?}");
    assert_eq!(seen.account.verdicts["steer_full"], 0, "{seen:?}");
    assert!(weir.stop(&means.interrupt).unwrap().success());
}

#[test]
fn a_port_that_vanishes_ends_weir_with_a_reason_and_not_with_a_crash() {
    let Some(means) = Means::find("vanished port") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let mut weir = means.start(&bed, &[]);
    assert!(means.reaches(&bed, SERVER_V4));
    bed.client.ip("link del c0").unwrap();
    std::thread::sleep(2 * SECOND);
    // It may go on with what it has or leave in good order. A crash or a hang is neither.
    let status = match weir.process().ended().unwrap() {
        Some(status) => status,
        None => {
            counters(&mut weir, &bed);
            weir.stop(&means.interrupt).unwrap()
        }
    };
    assert!(status.code().is_some(), "killed by a signal: {status}");
}
