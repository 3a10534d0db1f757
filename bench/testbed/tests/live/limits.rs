//! Limits by prefix and on everything, on the link: real TCP of both versions and datagrams at once, then other limits.

use std::io::Write as _;

use serde_json::Value;
use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU, SERVER_V4};
use weir_testbed::iperf::{Iperf, Plan};
use weir_testbed::weir::Weir;

use crate::deployment::Deployment;
use crate::means::{Means, SECOND, counters};

/// More addresses of the server's, each in a prefix of its own.
const NEAR_V4: &str = "10.9.0.130";
const NEAR_V6: &str = "fd09::1:2";

/// 5 Mb/s to a half of the IPv4 network, `v6` to a part of the IPv6 network, 20 Mb/s to all. Marks come late, so that TCP
/// fills what it may; bursts make up for a worker that is away from its core for 26 ms.
fn limits(v6: &str) -> String {
    let keys = "burst = \"64KiB\"\nmark_delay = \"90ms\"\ndelay_max = \"200ms\"\n";
    format!(
        "pin = \"interval\"\n\
         [[pacing.limit]]\nname = \"near-v4\"\nprefix = \"10.9.0.128/25\"\nside = \"outside\"\nrate = \"5Mbps\"\n{keys}\
         [[pacing.limit]]\nname = \"near-v6\"\nprefix = \"fd09::1:0/112\"\nside = \"outside\"\nrate = \"{v6}\"\n{keys}\
         [[pacing.limit]]\nname = \"all\"\nrate = \"20Mbps\"\n{keys}"
    )
}

/// Bytes under each limit so far, by `weir ctl status`.
fn bytes(weir: &mut Weir) -> Vec<(String, f64)> {
    let status = weir.ctl(&["status", "--json"]).unwrap();
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    let limits = status["limits"].as_array().unwrap().iter();
    limits
        .map(|limit| (limit["name"].as_str().unwrap().to_owned(), limit["bytes"].as_f64().unwrap()))
        .collect()
}

/// What leaves under each limit, and what reaches the link in all, in Mb/s.
fn rates(weir: &mut Weir, bed: &Bed) -> ([f64; 3], f64) {
    let arrived = || {
        let link = bed.link.reports().last().copied().unwrap().link;
        (link.up.counters.in_bytes as f64, link.at_ns as f64 / 1e9)
    };
    let (before, from) = (bytes(weir), arrived());
    std::thread::sleep(3 * SECOND);
    let (after, to) = (bytes(weir), arrived());
    let span = to.1 - from.1;
    let by_limit = [0, 1, 2].map(|at| (after[at].1 - before[at].1) * 8e-6 / span);
    (by_limit, (to.0 - from.0) * 8e-6 / span)
}

#[test]
fn limits_by_prefix_and_on_all_hold_tcp_and_datagrams_and_change_under_traffic() {
    let Some(mut means) = Means::find("limits") else { return };
    let deployment = Deployment::new(&means.config);
    deployment.rewrite("pin = \"interval\"", &limits("3Mbps"));
    means.config = deployment.file();
    let wide = Settings { rate_bps: Some(1_000_000_000), ..Settings::default() };
    let bed = Bed::new(true, wide, 1).unwrap();
    bed.server.ip(&format!("addr add {NEAR_V4}/24 dev s0")).unwrap();
    bed.server.ip(&format!("addr add {NEAR_V6}/64 dev s0 nodad")).unwrap();
    let mut weir = means.start(&bed, &["pacing.rule=none", "pacing.model="]);
    assert!([SERVER_V4, NEAR_V4, NEAR_V6].iter().all(|address| means.reaches(&bed, address)));

    let plan = |name, address, port| Plan { name, address, port, flows: 2, seconds: 14, from: None };
    let plans = [plan("v4", NEAR_V4, 5201), plan("v6", NEAR_V6, 5202)];
    let flows = plans.map(|plan| {
        let mut iperf = Iperf::serve(plan, &bed.server, means.logs.path(), CPU).unwrap();
        std::thread::sleep(SECOND / 3);
        iperf.send(plan, &bed.client, means.logs.path(), CPU).unwrap();
        iperf
    });
    let server = ["iperf3", "-s", "-1", "-J", "-p", "5300"];
    let mut udp_server = bed.server.spawn("udp-server", means.logs.path(), Some(CPU), &server).unwrap();
    std::thread::sleep(SECOND / 3);
    // 30 Mb/s of datagrams, of which twelve find their way.
    let client = ["iperf3", "-c", SERVER_V4, "-u", "-b", "30M", "-l", "1200", "-J", "-p", "5300", "-t", "12"];
    let mut udp = bed.client.spawn("udp-client", means.logs.path(), Some(CPU), &client).unwrap();
    std::thread::sleep(2 * SECOND);

    let (seen, all) = rates(&mut weir, &bed);
    let _ = writeln!(
        std::io::stderr(),
        "near-v4, near-v6, all: {seen:.2?} Mb/s of 5, 3, 20; {all:.2} Mb/s reach the link"
    );
    // A burst more in three seconds, at most. Datagrams use up what is left; what TCP makes of its share on a busy machine is
    // its own affair (`dataplane/engine/tests/limits` has senders that always have something).
    let holds = |seen: f64, limit: f64, least: f64| {
        assert!(seen <= limit * 1.01 + 0.2 && seen >= limit * least, "{seen} Mb/s of {limit}");
    };
    for (seen, limit) in seen.into_iter().zip([5.0, 3.0]) {
        holds(seen, limit, 0.3);
    }
    holds(seen[2], 20.0, 0.75);
    holds(all, 20.0, 0.75);
    let counted = counters(&mut weir, &bed);
    assert!(counted.account.verdicts["limit_full"] > 1_000, "{counted:?}");
    let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
    let dropped: f64 = scrape.by("weir_limit_dropped_total", "limit").unwrap().values().sum();
    assert!(dropped > 1_000.0);

    deployment.rewrite("pin = \"interval\"", &limits("1500kbps"));
    let applied = weir.ctl(&["reload"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&applied.stdout), "applied\n", "{applied:?}");
    std::thread::sleep(SECOND);
    let (seen, all) = rates(&mut weir, &bed);
    let _ = writeln!(
        std::io::stderr(),
        "after a reload: {seen:.2?} Mb/s of 5, 1.5, 20; {all:.2} Mb/s reach the link"
    );
    for (seen, limit) in seen.into_iter().zip([5.0, 1.5]) {
        holds(seen, limit, 0.3);
    }
    holds(all, 20.0, 0.75);
    assert!(udp.wait(20 * SECOND, &means.interrupt).unwrap().success());
    assert!(udp_server.wait(20 * SECOND, &means.interrupt).unwrap().success());
    for flow in flows {
        flow.finish(&means.interrupt).unwrap();
    }
    let screen = weir.ctl(&["status"]).unwrap();
    let screen = String::from_utf8_lossy(&screen.stdout);
    assert!(screen.contains("outside 10.9.0.128/25") && screen.contains("every frame"), "{screen}");
    counters(&mut weir, &bed);
    assert!(weir.stop(&means.interrupt).unwrap().success());
}
