//! Weir itself on real wires: root, namespaces, hugepages and a `weir` built with DPDK. One at a time
//! (`--test-threads 1`): they share two cores and Weir's hugepages.
#![allow(clippy::unwrap_used)] // Clippy exempts test functions only; here the helpers are test code too.

mod choices;
mod congestion;
mod datagrams;
mod deployment;
mod learning;
mod limits;
mod means;
mod paths;
mod ports;
mod sizes;
mod swaps;

use std::io::Write;
use std::time::{Duration, Instant};

use deployment::Deployment;
use means::{Means, SECOND, counters, two_workers};
use nix::sys::signal::Signal;
use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU, INSIDE_V4, INSIDE_V6, OUTSIDE_V4, OUTSIDE_V6, SERVER_V4, SERVER_V6};
use weir_testbed::iperf::{Iperf, Plan};

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
fn reloads_under_traffic_lose_nothing_and_take_no_memory() {
    let Some(means) = Means::find("reload") else { return };
    reload_under_traffic(means, &[], 10, SECOND / 4);
}

#[test]
#[ignore = "takes ten minutes: make nightly runs it"]
fn ten_minutes_of_reloads_under_traffic_lose_nothing_and_take_no_memory() {
    let Some(means) = Means::find("ten minutes of reloads") else { return };
    reload_under_traffic(means, &two_workers(), 300, SECOND);
}

/// In each round a good file and a broken one, with a pause after each.
fn reload_under_traffic(mut means: Means, workers: &[String], rounds: usize, pause: Duration) {
    let deployment = Deployment::new(&means.config);
    means.config = deployment.file();
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    // Limits that the traffic does not meet by itself, and a floor, because on a busy machine a network may take noise for
    // a queue. Given at the start, they hold through every reload.
    let wide = ["pacing.delay_max=1s", "pacing.flow_held_bytes_max=8MiB", "pacing.rate_min=10Mbps"];
    let overrides: Vec<&str> = wide.into_iter().chain(workers.iter().map(String::as_str)).collect();
    let mut weir = means.start(&bed, &overrides);
    assert!(means.reaches(&bed, SERVER_V4));
    // Longer than the rounds, also where a reload takes a quarter of a second on a busy machine.
    let seconds = (pause + SECOND / 4).as_secs_f64() * 2.0 * rounds as f64;
    let flow = means.flow(&bed, seconds as u32 + 6);
    std::thread::sleep(3 * SECOND);

    let before = counters(&mut weir, &bed);
    let good = [
        ("rate_max = \"10Gbps\"", "rate_max = \"9Gbps\""),
        ("precision = \"8bit\"", "precision = \"12bit\""),
        ("control_share = 0.02", "control_share = 0.05"),
        ("pin = \"interval\"", "pin = \"flow\"\npin_max = \"2s\""),
    ];
    let broken = [
        (
            "mark_delay = \"10ms\"",
            "mark_delay = \"10 apples\"",
            "weir.toml:35:14: pacing.mark_delay: expected",
        ),
        ("held_max = 8192", "held_max = 4096", "engine.held_max: needs a restart: was 8192, is now 4096"),
        ("models/aurora.onnx", "models/none.onnx", "model[0].file: "),
        ("[engine]", "[engine", "not valid TOML"),
    ];
    let mut resident = Vec::new();
    for round in 0..rounds {
        let (from, to) = good[round % good.len()];
        deployment.rewrite(from, to);
        let applied = weir.ctl(&["reload"]).unwrap();
        assert_eq!(applied.status.code(), Some(0), "{applied:?}");
        assert_eq!(String::from_utf8_lossy(&applied.stdout), "applied\n");
        std::thread::sleep(pause);

        let (from, to, reason) = broken[round % broken.len()];
        deployment.rewrite(from, to);
        let refused = weir.ctl(&["reload"]).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains(reason), "{refused:?}");
        std::thread::sleep(pause);
        counters(&mut weir, &bed);
        resident.push(weir.process().resident_bytes().unwrap());
    }
    // The file as it was, by the signal.
    deployment.rewrite("", "");
    weir.process().signal(Signal::SIGHUP).unwrap();
    std::thread::sleep(SECOND);

    let after = counters(&mut weir, &bed);
    for (verdict, count) in &after.account.verdicts {
        let rose = count - before.account.verdicts[verdict];
        let sent = ["forwarded", "paced", "untracked"].contains(&verdict.as_str());
        assert!(sent || rose == 0, "{verdict} rose by {rose}");
    }
    assert!(after.account.verdicts["paced"] > before.account.verdicts["paced"] + 1_000, "{after:?}");
    let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
    let reloads = scrape.by("weir_reloads_total", "result").unwrap();
    assert_eq!(
        (reloads["applied"], reloads["refused"], reloads["unchanged"]),
        (rounds as f64 + 1.0, rounds as f64, 0.0)
    );
    // Each worker takes up each policy.
    let seen = after.workers.len() as f64 * (rounds as f64 + 1.0);
    assert_eq!(scrape.sum("weir_snapshot_swaps_seen_total").unwrap(), seen);
    assert_eq!(scrape.sum("weir_config_last_reload_successful").unwrap(), 1.0);

    let status = weir.ctl(&["status", "--json"]).unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((&status["answer"], &status["config"]["refused"]), (&"status".into(), &rounds.into()));
    let rates = status["workers"].as_array().unwrap().iter();
    let frames: f64 = rates.map(|worker| worker["received_frames_per_second"].as_f64().unwrap()).sum();
    assert!(frames > 100.0, "{status}");

    let (early, late) = (resident[2], resident[resident.len() - 1]);
    let _ = writeln!(std::io::stderr(), "resident after each pair of reloads: {resident:?}");
    assert!(late < early + (2 << 20), "memory grows: {resident:?}");
    flow.finish(&means.interrupt).unwrap();
    assert!(weir.stop(&means.interrupt).unwrap().success());
    assert!(!means.logs.path().join("weir.sock").exists(), "the socket goes with its weir");
}

#[test]
fn two_workers_share_two_ports_of_two_queues_and_their_books_balance_in_every_scrape() {
    let Some(means) = Means::find("two workers") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let workers = two_workers();
    let mut weir = means.start(&bed, &workers.each_ref().map(String::as_str));
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    let plans = [("v4", SERVER_V4, 5201), ("v6", SERVER_V6, 5202)].map(|(name, address, port)| Plan {
        name,
        address,
        port,
        // A flow is steered one way or the other by one chance in four each: of 24, none one way by 1 in 1 000.
        flows: 12,
        seconds: 6,
        from: None,
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
        assert_eq!(bytes.len(), 12, "{}", plan.name);
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

#[test]
fn weir_routes_between_two_networks_and_says_why_where_it_does_not() {
    let Some(means) = Means::find("routing") else { return };
    route_between_two_networks(&means, &[]);
}

/// Answers and announcements arrive at either queue, and both workers learn from them.
#[test]
fn two_workers_are_one_router() {
    let Some(means) = Means::find("routing with two workers") else { return };
    route_between_two_networks(&means, &two_workers());
}

/// A router between two kernels: their own ARP, neighbour discovery, path MTU discovery and TCP.
fn route_between_two_networks(means: &Means, workers: &[String]) {
    const FLOWS: u32 = 8;
    let bed = Bed::routed(Settings::default(), 1).unwrap();
    bed.server.ip("link set s0 mtu 1400").unwrap();
    // A fixed rate, so that what is counted below depends on no model's mood on a busy machine.
    let fixed = ["route.outside.mtu=1400", "pacing.rule=fixed", "pacing.rate=3Mbps", "pacing.model="];
    let overrides: Vec<&str> = fixed.into_iter().chain(workers.iter().map(String::as_str)).collect();
    let mut weir = means.start_with(&means.routed, &bed, &overrides);
    for address in [INSIDE_V4, INSIDE_V6, OUTSIDE_V4, OUTSIDE_V6, SERVER_V4, SERVER_V6] {
        assert!(means.reaches(&bed, address), "{address}");
    }
    // First, while the client does not know how small the server's link is: the MSS clamp tells its TCP.
    let plans = [("v4", SERVER_V4, 5201), ("v6", SERVER_V6, 5202)].map(|(name, address, port)| Plan {
        name,
        address,
        port,
        flows: FLOWS,
        seconds: 4,
        from: None,
    });
    let flows = plans.map(|plan| means.flow_to(&bed, plan));
    for _ in 0..15 {
        std::thread::sleep(SECOND / 5);
        counters(&mut weir, &bed);
    }
    for (flow, plan) in flows.into_iter().zip(plans) {
        let flow = flow.finish(&means.interrupt).unwrap();
        let received: f64 = flow.iter().flat_map(|flow| &flow.received).map(|interval| interval.value).sum();
        assert!(received > 250_000.0, "{}: {received} B arrived", plan.name);
    }
    // (what is asked, whether it is answered, what is said)
    let gone = ["10.9.0.99", "fd09::99"];
    for (words, answered, said) in [
        (format!("-c 1 -W 2 {SERVER_V4}"), true, "ttl=63"),
        (format!("-c 1 -W 2 {SERVER_V6}"), true, "ttl=63"),
        (format!("-c 1 -t 1 -W 2 {SERVER_V4}"), false, "From 10.8.0.1 icmp_seq=1 Time to live exceeded"),
        (format!("-c 1 -t 1 -W 2 {SERVER_V6}"), false, "From fd08::1 icmp_seq=1 Time exceeded: Hop limit"),
        (format!("-c 1 -W 2 -M do -s 1372 {SERVER_V4}"), true, "1380 bytes from"),
        (format!("-c 1 -W 2 -M do -s 1373 {SERVER_V4}"), false, "Frag needed and DF set (mtu = 1400)"),
        (format!("-c 1 -W 2 -M dont -s 1450 {SERVER_V4}"), true, "1458 bytes from"),
        (format!("-c 1 -W 2 -M do -s 1352 {SERVER_V6}"), true, "1360 bytes from"),
        (format!("-c 1 -W 2 -M do -s 1353 {SERVER_V6}"), false, "Packet too big: mtu=1400"),
        (format!("-c 1 -W 6 {}", gone[0]), false, "From 10.8.0.1 icmp_seq=1 Destination Host Unreachable"),
        (
            format!("-c 1 -W 6 {}", gone[1]),
            false,
            "From fd08::1 icmp_seq=1 Destination unreachable: Address unreachable",
        ),
    ] {
        let (was_answered, text) = means.ping(&bed, &words);
        assert!(was_answered == answered && text.contains(said), "ping {words}: {text}");
        counters(&mut weir, &bed);
    }
    // Path MTU discovery by the kernel, for what the MSS clamp does not cover.
    let route = bed.client.ip(&format!("route get {SERVER_V4}")).unwrap();
    assert!(route.contains("mtu 1400"), "{route}");

    let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
    let seen = counters(&mut weir, &bed);
    for worker in 0..seen.workers.len() {
        let neighbours = scrape.only("worker", &worker.to_string()).by("weir_neighbours", "state").unwrap();
        let known: f64 =
            neighbours.iter().filter(|(state, _)| *state != "incomplete").map(|(_, count)| count).sum();
        assert!(known >= 4.0, "worker {worker}: {neighbours:?}");
    }
    // iperf3 opens a connection more than it has flows.
    assert_eq!(scrape.sum("weir_mss_clamped_total").unwrap(), f64::from(2 * (FLOWS + 1)));
    // Who does not answer is one neighbour, however many workers give it up; unless one was away when another asked.
    let failed = scrape.sum("weir_neighbours_failed_total").unwrap();
    assert!((2.0..4.0).contains(&failed), "{failed}");
    let news = scrape.by("weir_neighbour_news_total", "fate").unwrap();
    if let [_, _, ..] = seen.workers[..] {
        assert!(seen.account.steered_out > 1_000, "{seen:?}");
        assert!(seen.workers.iter().all(|worker| worker.verdicts["paced"] > 100), "{seen:?}");
        assert!(news["passed"] >= 10.0 && news["taken"] >= 10.0, "{news:?}");
        assert_eq!((news["lane_full"], seen.account.verdicts["steer_full"]), (0.0, 0));
    }
    let verdicts = seen.account.verdicts;
    for (verdict, least) in [
        ("paced", 100),
        ("forwarded", 100),
        ("consumed", 4),
        ("originated", 8),
        ("ttl_expired", 2),
        ("too_big", 2),
        ("fragmented", 1),
        ("neighbour_unresolved", 2),
    ] {
        assert!(verdicts[verdict] >= least, "{verdict}: {verdicts:?}");
    }
    assert!(weir.stop(&means.interrupt).unwrap().success());
}
