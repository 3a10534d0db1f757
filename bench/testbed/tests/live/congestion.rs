//! `weir bpf`: congestion controls of the host's own kernel, on the link, and mode `yield`.

use std::io::Write as _;
use std::process::{Command, Output};
use std::time::Instant;

use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU, SERVER_V4, SERVER_V6};
use weir_testbed::iperf::{Flow, Iperf, Plan};

use crate::means::{Means, SECOND, counters};

const SWAPS: u32 = 100;
/// The model that is attached, and the others that take its place by turns.
const MODELS: [(&str, &str); 3] =
    [("aurora.onnx", "8bit"), ("aurora-wide.onnx", "8bit"), ("aurora.onnx", "12bit")];
const PLANS: [Plan<'static>; 2] = [
    Plan { name: "v4", address: SERVER_V4, port: 5201, flows: 1, seconds: 8, from: None },
    Plan { name: "v6", address: SERVER_V6, port: 5202, flows: 1, seconds: 8, from: None },
];

/// A congestion control that is attached until the test ends.
struct Attached<'a> {
    means: &'a Means,
    name: &'static str,
}

impl<'a> Attached<'a> {
    fn new(means: &'a Means, name: &'static str, words: &[&str]) -> Attached<'a> {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        if !mounts.lines().any(|line| line.split(' ').nth(2) == Some("bpf")) {
            let mounted = Command::new("mount").args(["-t", "bpf", "bpf", "/sys/fs/bpf"]).status();
            assert!(mounted.unwrap().success());
        }
        // What a killed run has left.
        let _ = bpf(means, &["detach", name]);
        let done = bpf(means, &[&["attach", name], words].concat());
        assert!(done.status.success(), "{done:?}");
        Attached { means, name }
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        let done = bpf(self.means, &["detach", self.name]);
        assert!(done.status.success() || std::thread::panicking(), "{done:?}");
    }
}

fn bpf(means: &Means, words: &[&str]) -> Output {
    Command::new(&means.weir).arg("bpf").args(words).output().unwrap()
}

fn model(means: &Means, number: u32) -> [String; 4] {
    let (file, precision) = MODELS[number as usize % MODELS.len()];
    let folder = means.config.parent().unwrap().join("models");
    [
        "--model".to_owned(),
        folder.join(file).display().to_string(),
        "--precision".to_owned(),
        precision.to_owned(),
    ]
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn start(means: &Means, bed: &Bed, plan: Plan<'_>, congestion: &str) -> Iperf {
    let mut iperf = Iperf::serve(plan, &bed.server, means.logs.path(), CPU).unwrap();
    std::thread::sleep(SECOND / 3);
    iperf.send_by(congestion, plan, &bed.client, means.logs.path(), CPU).unwrap();
    iperf
}

/// Payload that arrived in the seconds after the first two, Mb/s.
fn goodput(flows: &[Flow]) -> f64 {
    let points = flows.iter().flat_map(|flow| &flow.received).filter(|point| point.at_s > 2.0);
    let span = flows[0].received.last().unwrap().at_s - 2.0;
    points.map(|point| point.value).sum::<f64>() * 8e-6 / span
}

#[test]
fn a_hundred_networks_under_a_flow_of_weir_aurora() {
    let Some(means) = Means::find("weir_aurora") else { return };
    let bed = Bed::new(false, Settings::default(), 1).unwrap();
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    let _attached = Attached::new(&means, "aurora", &words(&model(&means, 0)));
    // Longer than the swaps, also on a busy machine; the flows are over when the test drops them.
    let plans = PLANS.map(|plan| Plan { seconds: 600, ..plan });
    let _flows = plans.map(|plan| start(&means, &bed, plan, "weir_aurora"));
    std::thread::sleep(2 * SECOND);
    let began = Instant::now();
    let passed = |bed: &Bed| bed.link.reports().last().unwrap().link.up.counters.out_bytes;
    let before = passed(&bed);
    for number in 1..=SWAPS {
        let done = bpf(&means, &[&["swap"], &words(&model(&means, number))[..]].concat());
        assert!(done.status.success(), "{done:?}");
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(said.contains(&format!("is generation {}", number + 1)), "{said}");
    }
    let span = began.elapsed();
    let mbps = (passed(&bed) - before) as f64 * 8e-6 / span.as_secs_f64();
    let status = bpf(&means, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let _ =
        writeln!(std::io::stderr(), "{SWAPS} swaps in {span:?}, {mbps:.1} Mb/s of 100 meanwhile: {status}");
    let aurora = &status["weir_aurora"];
    assert_eq!(
        (aurora["generation"].as_u64(), aurora["refused"].as_u64()),
        (Some(u64::from(SWAPS) + 1), Some(0))
    );
    // Both flows, and iperf3's connections of control beside them.
    assert!(
        aurora["flows"].as_u64().unwrap() >= 2 && aurora["decisions"].as_u64().unwrap() > 100,
        "{status}"
    );
    // Both alive to the end: each carries bytes after the last swap.
    assert!(mbps > 10.0, "{mbps} Mb/s");
    let (v4, v6) = (alive(&bed, 4), alive(&bed, 6));
    assert!(v4 && v6, "IPv4 {v4}, IPv6 {v6}");
}

/// Whether a data connection of this IP version is established and sends by weir_aurora.
fn alive(bed: &Bed, version: u8) -> bool {
    let list = |times: u64| {
        let flag = format!("-{version}");
        let netns = ["netns", "exec", bed.client.name(), "ss", "-tinH", &flag, "state", "established"];
        let output = Command::new("ip").args(netns).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let sent = text.lines().filter(|line| line.contains("weir_aurora")).filter_map(|line| {
            line.split_whitespace().find_map(|word| word.strip_prefix("bytes_acked:")?.parse::<u64>().ok())
        });
        std::thread::sleep(SECOND * times as u32);
        sent.sum::<u64>()
    };
    let before = list(1);
    list(0) > before
}

/// On a link that loses one frame of a hundred: the sender's own congestion control, and one that yields to Weir.
#[test]
fn a_sender_that_yields_fills_a_lossy_link() {
    let Some(means) = Means::find("weir_yield") else { return };
    let lossy = Settings { loss: 0.01, ..Settings::default() };
    let _attached = Attached::new(&means, "yield", &[]);
    let alone = |congestion: &str| {
        let bed = Bed::new(false, lossy, 1).unwrap();
        assert!(means.reaches(&bed, SERVER_V4));
        goodput(&start(&means, &bed, PLANS[0], congestion).finish(&means.interrupt).unwrap())
    };
    let (cubic, bbr) = (alone("cubic"), alone("bbr"));
    let mut yielding = Vec::new();
    // Governed by the rule, then by the model.
    for overrides in [&["pacing.model="][..], &[]] {
        for plan in PLANS {
            let bed = Bed::new(true, lossy, 1).unwrap();
            let mode =
                [&["pacing.mode=yield", "pacing.control_share=0.0", "pacing.explore_share=0.0"], overrides];
            let mut weir = means.start(&bed, &mode.concat());
            assert!(means.reaches(&bed, plan.address));
            let flow = start(&means, &bed, plan, "weir_yield");
            yielding.push(goodput(&flow.finish(&means.interrupt).unwrap()));
            let account = counters(&mut weir, &bed).account;
            let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
            let lowered = scrape.sum("weir_windows_lowered_total").unwrap();
            let unknown = scrape.sum("weir_windows_unknown_total").unwrap();
            assert!(lowered > 1_000.0 && unknown == 0.0, "lowered {lowered}, unknown {unknown}");
            let _ = writeln!(
                std::io::stderr(),
                "{} {overrides:?}: {:.1} Mb/s, {lowered} windows lowered, paced {}, pace_full {}",
                plan.name,
                yielding.last().unwrap(),
                account.verdicts["paced"],
                account.verdicts["pace_full"]
            );
            assert!(weir.stop(&means.interrupt).unwrap().success());
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "cubic {cubic:.1}, bbr {bbr:.1}, yield (rule v4, v6, model v4, v6) {yielding:.1?} Mb/s"
    );
    // A tenfold difference on a quiet machine; docs/SPEC.md has figures.
    assert!(yielding.iter().all(|goodput| *goodput > 3.0 * cubic), "cubic {cubic}, yield {yielding:?}");
}
