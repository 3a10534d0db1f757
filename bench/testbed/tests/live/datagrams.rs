//! Datagrams of a sender that asks nobody, twice as fast as their path: unpaced they are lost in the path, paced in Weir, which knows
//! what the path carries.

use super::means::{Means, SECOND};
use super::paths::Pair;
use std::io::Write;
use weir_testbed::bed::CPU;
use weir_testbed::exposition::Scrape;
use weir_testbed::paths::FAR_V4;

const SENDS_FOR: u32 = 8;

#[derive(Debug)]
struct Outcome {
    /// Of the frames that left by the paths, the share that did not come to the other end.
    lost: f64,
    /// Payload that came to the server.
    received: f64,
    /// Datagrams that Weir dropped because they would have waited too long.
    refused: f64,
    /// The longest smoothed round trip of a path, in milliseconds, while all was under way.
    rtt_ms: f64,
}

#[test]
fn paced_datagrams_are_lost_where_it_is_known_and_not_in_the_path() {
    let Some(means) = Means::find("datagrams") else { return };
    let [unpaced, paced] = [false, true].map(|paced| send(&means, paced));
    for (name, outcome) in [("unpaced", &unpaced), ("paced", &paced)] {
        let Outcome { lost, received, refused, rtt_ms } = outcome;
        let _ = writeln!(
            std::io::stderr(),
            "{name}: {lost:.4} lost in the path, {received} bytes came, {refused} dropped by Weir, round trip {rtt_ms:.1} ms"
        );
    }
    // Twice what the path carries.
    assert!(unpaced.lost > 0.25 && unpaced.refused == 0.0, "{unpaced:?}");
    assert!(paced.lost < unpaced.lost / 4.0, "{paced:?}, unpaced {unpaced:?}");
    assert!(paced.received > 0.6 * unpaced.received, "{paced:?}, unpaced {unpaced:?}");
    assert!(paced.refused > 1_000.0, "{paced:?}");
}

fn send(means: &Means, paced: bool) -> Outcome {
    let name = if paced { "paced" } else { "unpaced" };
    let config = means.config.with_file_name("balance.toml");
    let mut pair = Pair::start_with(means, &config, |end| {
        let mut words = vec!["balance.probe_interval=20ms".to_owned()];
        if end == 0 {
            let pacing = [
                "rule=bbr_lite",
                "rate_min=1Mbps",
                "rate_start=5Mbps",
                "rate_max=1Gbps",
                "mark_delay=10ms",
                "delay_max=50ms",
                "flow_held_bytes_max=1MiB",
            ];
            words.extend(pacing.map(|word| format!("pacing.{word}")));
            words.push(format!("pacing.datagrams={paced}"));
        }
        words
    });
    let server = ["iperf3", "-s", "-1", "-J", "-p", "5300"];
    let mut udp_server =
        pair.bed.server.spawn(&format!("udp-server-{name}"), means.logs.path(), Some(CPU), &server).unwrap();
    std::thread::sleep(SECOND / 3);
    let seconds = SENDS_FOR.to_string();
    let client =
        ["iperf3", "-c", FAR_V4, "-u", "-b", "40M", "-l", "1200", "-J", "-p", "5300", "-t", &seconds];
    let mut udp =
        pair.bed.client.spawn(&format!("udp-client-{name}"), means.logs.path(), Some(CPU), &client).unwrap();
    // After the rule's first doublings.
    std::thread::sleep(2 * SECOND);
    let counted = |scrape: &Scrape| {
        ["weir_path_measured_frames_total", "weir_path_lost_frames_total"]
            .map(|name| scrape.sum(name).unwrap())
    };
    let before = counted(&pair.scrapes()[0]);
    std::thread::sleep(SECOND * (SENDS_FOR - 4));
    let [near, _] = pair.scrapes();
    let after = counted(&near);
    let rtts = near.by("weir_path_rtt_seconds", "path").unwrap();
    assert!(udp.wait(20 * SECOND, &means.interrupt).unwrap().success());
    assert!(udp_server.wait(20 * SECOND, &means.interrupt).unwrap().success());
    let [near, _] = pair.scrapes();
    let refused = near.by("weir_verdicts_total", "verdict").unwrap()["pace_full"];
    let feedback = near.sum("weir_datagram_feedback_total").unwrap();
    assert_eq!(feedback > 100.0, paced, "{feedback} times");
    let report: serde_json::Value = serde_json::from_str(&udp_server.output().unwrap()).unwrap();
    let intervals = report["intervals"].as_array().unwrap();
    let received = intervals.iter().filter_map(|interval| interval["sum"]["bytes"].as_f64()).sum();
    pair.stop(means);
    Outcome {
        lost: (after[1] - before[1]) / (after[0] - before[0]),
        received,
        refused,
        rtt_ms: rtts.values().copied().fold(0.0, f64::max) * 1e3,
    }
}
