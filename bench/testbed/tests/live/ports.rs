//! Kinds of ports beside af_packet. Two Weirs behind each other, joined by ports of two queues each:
//!
//! ```text
//!   client - af_packet [near] memif client -------------------- memif server [far] af_packet - link - server
//!   client - af_packet [near] tap ------ its device in the kernel ----- af_xdp [far] af_packet - link - server
//! ```

use nix::sys::signal::Signal;
use weir_link::Settings;
use weir_testbed::bed::{Bed, SERVER_V4, SERVER_V6};
use weir_testbed::iperf::Plan;
use weir_testbed::weir::Weir;

use crate::means::{Means, SECOND, TWO_WORKERS, counters, two_queues};

/// Two Weirs want no more hugepages together than one.
const HALF: [&str; 2] = ["eal.memory_mb=128", "engine.held_max=2048"];

/// Flows enough for each queue to have some of them: all 16 are one worker's by 1 in 32 000.
const PLANS: [Plan<'static>; 2] = [
    Plan { name: "v4", address: SERVER_V4, port: 5201, from: None, flows: 8, seconds: 6 },
    Plan { name: "v6", address: SERVER_V6, port: 5202, from: None, flows: 8, seconds: 6 },
];

/// The one at the client, whose outer port is this.
fn near(means: &Means, bed: &Bed, outside: &str) -> Weir {
    let own = [&two_queues("inside", "weir-in"), outside];
    means.start(bed, &[&HALF[..], &TWO_WORKERS, &own].concat())
}

/// The one at the link, whose inner port is this; its ports are open. It paces nothing.
fn far(means: &Means, bed: &Bed, inside: &str) -> Weir {
    let outside = two_queues("outside", "weir-out");
    let own = [inside, &outside, "pacing.rule=none", "pacing.model=", "metrics.listen=127.0.0.1:9465"];
    let overrides = [&HALF[..], &TWO_WORKERS, &own].concat();
    let logs = means.logs.path().join("far");
    std::fs::create_dir(&logs).unwrap();
    let netns = bed.weir.as_ref().unwrap();
    let mut far = Weir::spawn(&means.weir, &means.config, &overrides, netns, &logs).unwrap();
    far.answers("/healthz", netns, &means.interrupt).unwrap();
    far
}

/// Traffic through both. Each queue between them carries frames, both ways: worker w has no other to send and receive by.
fn carry(means: &Means, bed: &Bed, near: &mut Weir, far: &mut Weir) {
    assert!(means.reaches(bed, SERVER_V4) && means.reaches(bed, SERVER_V6));
    let flows = PLANS.map(|plan| means.flow_to(bed, plan));
    for _ in 0..15 {
        std::thread::sleep(SECOND / 3);
        counters(near, bed);
        counters(far, bed);
    }
    for flow in flows {
        let flows = flow.finish(&means.interrupt).unwrap();
        let bytes: Vec<f64> =
            flows.iter().map(|flow| flow.received.iter().map(|point| point.value).sum()).collect();
        assert!(bytes.len() == 8 && bytes.iter().all(|bytes| *bytes > 50_000.0), "{bytes:?}");
    }
    for (weir, side) in [(near, "outside"), (far, "inside")] {
        let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap().only("side", side);
        let received = scrape.by("weir_received_frames_total", "worker").unwrap();
        assert!(
            received.len() == 2 && received.values().all(|frames| *frames > 100.0),
            "{side}: {received:?}"
        );
        let seen = counters(weir, bed);
        assert!(seen.account.steered_out > 100, "{seen:?}");
        assert_eq!(seen.account.verdicts["steer_full"], 0, "{seen:?}");
    }
}

#[test]
fn two_weirs_share_a_memif_of_two_queues() {
    let Some(means) = Means::find("memif") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let mut far = far(&means, &bed, "ports.inside=net_memif0,role=server,socket=weir-live");
    let mut near = near(&means, &bed, "ports.outside=net_memif0,role=client,socket=weir-live");
    carry(&means, &bed, &mut near, &mut far);
    // The other goes with its guard: DPDK's driver may crash when its peer has left (docs/ports.md).
    assert!(near.stop(&means.interrupt).unwrap().success());
}

/// A tap has as many combined channels as its program has opened queues: the near one's two.
#[test]
fn af_xdp_on_two_combined_channels_feeds_two_workers() {
    let Some(means) = Means::find("af_xdp with two queues") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let mut near = near(&means, &bed, "ports.outside=net_tap0,iface=weir-tap");
    let between = bed.weir.as_ref().unwrap();
    between.offloads_off("weir-tap").unwrap();
    between.ip("link set weir-tap up").unwrap();
    let mut far = far(&means, &bed, "ports.inside=net_af_xdp0,iface=weir-tap,queue_count=2");
    carry(&means, &bed, &mut near, &mut far);
    assert!(far.stop(&means.interrupt).unwrap().success());
    assert!(near.stop(&means.interrupt).unwrap().success());
}

#[test]
fn af_xdp_carries_traffic_and_comes_back_after_a_kill() {
    let Some(means) = Means::find("af_xdp") else { return };
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let ports = ["ports.inside=net_af_xdp0,iface=weir-in", "ports.outside=net_af_xdp1,iface=weir-out"];
    let mut weir = means.start(&bed, &ports);
    assert!(means.reaches(&bed, SERVER_V4));
    weir.process().signal(Signal::SIGKILL).unwrap();
    weir.process().wait(5 * SECOND, &means.interrupt).unwrap();
    let mut weir = means.start(&bed, &ports);
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    let flow = means.flow(&bed, 4);
    for _ in 0..10 {
        std::thread::sleep(SECOND / 3);
        counters(&mut weir, &bed);
    }
    let flows = flow.finish(&means.interrupt).unwrap();
    let bytes: f64 = flows[0].received.iter().map(|point| point.value).sum();
    let seen = counters(&mut weir, &bed);
    assert!(bytes > 1_000_000.0 && seen.account.verdicts["paced"] > 100, "{bytes} {seen:?}");
    assert!(weir.stop(&means.interrupt).unwrap().success());
}
