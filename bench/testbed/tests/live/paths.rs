//! Three paths between two Weirs, with real TCP over them and everything on the wire read by `tshark`.

use super::means::{Means, SECOND};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use weir_link::Settings;
use weir_testbed::bed::CPU;
use weir_testbed::exposition::Scrape;
use weir_testbed::iperf::{Flow, Iperf, Plan};
use weir_testbed::netns::Netns;
use weir_testbed::paths::{FAR_V4, FAR_V6, NAMES, PathsBed, WAYS};
use weir_testbed::ping::reaches;
use weir_testbed::process::Process;
use weir_testbed::weir::{Counters, Weir};

const PROBE_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) struct Pair {
    pub(crate) bed: PathsBed,
    pub(crate) weirs: Vec<Weir>,
    _logs: [tempfile::TempDir; 2],
}

impl Pair {
    fn start(means: &Means, overrides: &[&str]) -> Pair {
        let config = means.config.with_file_name("balance.toml");
        Pair::start_with(means, &config, |_| overrides.iter().map(|word| (*word).to_owned()).collect())
    }

    /// By another file, each end with overrides of its own.
    pub(crate) fn start_with(means: &Means, config: &Path, overrides: impl Fn(usize) -> Vec<String>) -> Pair {
        let settings = Settings {
            rate_bps: Some(20_000_000),
            delay_ns: 2_000_000,
            queue_bytes_max: 60_000,
            ..Settings::default()
        };
        let bed = PathsBed::new(settings, 1).unwrap();
        let logs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mirror = PathsBed::mirror();
        let mut weirs = Vec::new();
        for (end, (netns, logs)) in bed.weirs.iter().zip(&logs).enumerate() {
            // Each on a core that it offers to others when idle: two Weirs, three links and the traffic share two cores.
            let cores = [format!("cores.control={end}"), format!("cores.workers=[{end}]")];
            let small =
                ["cores.shared=true", "eal.hugepages=false", "eal.memory_mb=128", "balance.slow_start=1s"];
            let mut words: Vec<&str> = small.to_vec();
            words.extend(cores.iter().map(String::as_str));
            let overrides = overrides(end);
            words.extend(overrides.iter().map(String::as_str));
            if end == 1 {
                words.extend(mirror.iter().map(String::as_str));
            }
            weirs.push(
                Weir::start(&means.weir, config, &words, netns, logs.path(), &means.interrupt).unwrap(),
            );
        }
        let mut pair = Pair { bed, weirs, _logs: logs };
        let all_up = pair.wait(20 * SECOND, |a, b| up(a) == WAYS && up(b) == WAYS);
        assert!(all_up.is_some(), "the paths do not come up: {:?}", pair.status());
        for address in [FAR_V4, FAR_V6] {
            assert!(
                reaches(&pair.bed.client, address, means.logs.path(), 3 * SECOND, &means.interrupt).unwrap()
            );
        }
        pair
    }

    /// Both Weirs' metrics, whose books balance.
    pub(crate) fn scrapes(&mut self) -> [Scrape; 2] {
        let scrape = |end: usize| {
            let scrape = self.weirs[end].scrape(&self.bed.weirs[end]).unwrap();
            Counters::checked(&scrape).unwrap();
            scrape
        };
        [0, 1].map(scrape)
    }

    /// How long it took until this was so of both Weirs' metrics.
    fn wait(&mut self, longest: Duration, so: impl Fn(&Scrape, &Scrape) -> bool) -> Option<Duration> {
        let began = Instant::now();
        while began.elapsed() < longest {
            let [a, b] = self.scrapes();
            if so(&a, &b) {
                return Some(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        None
    }

    fn status(&self) -> Vec<String> {
        let said = |weir: &Weir| String::from_utf8_lossy(&weir.ctl(&["status"]).unwrap().stdout).into_owned();
        self.weirs.iter().map(said).collect()
    }

    /// Frames that the first Weir has sent by each path.
    fn sent(&mut self) -> BTreeMap<String, f64> {
        self.scrapes()[0].by("weir_path_frames_total", "path").unwrap()
    }

    /// The same from now on for this long, in shares.
    fn shares(&mut self, span: Duration) -> [f64; WAYS] {
        let before = self.sent();
        std::thread::sleep(span);
        let after = self.sent();
        let frames = NAMES.map(|name| after[name] - before[name]);
        let all: f64 = frames.iter().sum();
        frames.map(|path| path / all.max(1.0))
    }

    fn flows(
        &self,
        means: &Means,
        name: &'static str,
        address: &'static str,
        port: u16,
        seconds: u32,
    ) -> Iperf {
        let plan = Plan { name, address, port, flows: FLOWS, seconds, from: None };
        let mut iperf = Iperf::serve(plan, &self.bed.server, means.logs.path(), CPU).unwrap();
        std::thread::sleep(SECOND / 3);
        iperf.send(plan, &self.bed.client, means.logs.path(), CPU).unwrap();
        iperf
    }

    pub(crate) fn stop(self, means: &Means) {
        for weir in self.weirs {
            assert!(weir.stop(&means.interrupt).unwrap().success());
        }
    }
}

const FLOWS: u32 = 16;
/// Where iperf listens, by IP version.
const PORT_V4: u16 = 5201;
const PORT_V6: u16 = 5202;

/// How many paths are up.
fn up(scrape: &Scrape) -> usize {
    scrape.sum("weir_path_up").unwrap_or(0.0) as usize
}

fn path_up(scrape: &Scrape, path: &str) -> bool {
    scrape.by("weir_path_up", "path").unwrap()[path] == 1.0
}

/// Bytes of each flow in its last `seconds`.
fn last(flow: &Flow, seconds: f64) -> f64 {
    let end = flow.received.last().map_or(0.0, |point| point.at_s);
    flow.received.iter().filter(|point| point.at_s > end - seconds).map(|point| point.value).sum()
}

/// A capture of all frames between the first Weir and the network.
fn capture(pair: &Pair, means: &Means) -> (Process, PathBuf) {
    let file = means.logs.path().join("wire.pcap");
    let words = ["tshark", "-q", "-i", "n0", "-w", file.to_str().unwrap(), "-F", "pcap"];
    let tshark = pair.bed.near.spawn("tshark", means.logs.path(), Some(CPU), &words).unwrap();
    std::thread::sleep(2 * SECOND);
    (tshark, file)
}

/// What `tshark` says of the capture, all checksums verified.
fn tshark(file: &Path, words: &[&str]) -> String {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(words);
    for layer in ["ip", "udp", "tcp"] {
        command.args(["-o", &format!("{layer}.check_checksum:TRUE")]);
    }
    // What iperf sends means nothing: else it is taken for the protocol that its end's ephemeral port happens to be known for, and
    // then found malformed.
    for port in [PORT_V4, PORT_V6] {
        command.args(["-d", &format!("tcp.port=={port},data")]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Frames of the capture that pass a display filter, each with its protocols from the outside in.
fn frames(file: &Path, filter: &str) -> Vec<String> {
    let words = ["-Y", filter, "-T", "fields", "-e", "frame.number", "-e", "frame.protocols"];
    tshark(file, &words).lines().map(str::to_owned).collect()
}

/// Lines of a dissection that are shown: some three frames.
const SHOWN: usize = 400;

/// No frame passes the filter: those that do are shown, and the first of them dissected and in bytes.
fn none(file: &Path, filter: &str) {
    let found = frames(file, filter);
    let dissected = || -> String {
        let text = tshark(file, &["-Y", filter, "-V", "-x"]);
        text.lines().take(SHOWN).collect::<Vec<_>>().join("\n")
    };
    assert!(found.is_empty(), "{filter}: {} frames: {found:#?}\n{}", found.len(), dissected());
}

/// TCP segments that a namespace's kernel has refused for their checksum, of either IP version.
fn checksum_errors(netns: &Netns) -> u64 {
    let text = netns.inside(|| Ok(std::fs::read_to_string("/proc/thread-self/net/snmp")?)).unwrap();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut figures = names.split_whitespace().zip(values.split_whitespace());
    figures.find(|(name, _)| *name == "InCsumErrors").unwrap().1.parse().unwrap()
}

#[test]
fn a_path_is_cut_its_flows_move_and_no_connection_dies() {
    let Some(means) = Means::find("paths") else { return };
    let mut pair = Pair::start(&means, &[]);
    let (mut tshark, file) = capture(&pair, &means);
    let flows =
        [pair.flows(&means, "v4", FAR_V4, PORT_V4, 20), pair.flows(&means, "v6", FAR_V6, PORT_V6, 20)];
    std::thread::sleep(2 * SECOND);
    let shares = pair.shares(2 * SECOND);
    assert!(shares.iter().all(|share| *share > 0.02), "not by all paths: {shares:?}");
    tshark.signal(Signal::SIGINT).unwrap();
    tshark.wait(10 * SECOND, &means.interrupt).unwrap();

    pair.bed.links[0].change("both loss=100%").unwrap();
    let found = pair.wait(10 * SECOND, |a, b| !path_up(a, NAMES[0]) && !path_up(b, NAMES[0]));
    let found = found.unwrap_or_else(|| unreachable!("never found out: {:?}", pair.status()));
    let _ = writeln!(
        std::io::stderr(),
        "the cut was found out by both Weirs within {found:?}, a probe interval being {PROBE_INTERVAL:?}"
    );
    std::thread::sleep(SECOND);
    let shares = pair.shares(2 * SECOND);
    assert_eq!(shares[0], 0.0, "{shares:?}");
    assert!(shares[1] > 0.02 && shares[2] > 0.02, "{shares:?}");
    let status = pair.status();
    assert!(status[0].contains("DOWN"), "{}", status[0]);

    for (flow, name) in flows.into_iter().zip(["v4", "v6"]) {
        let flows = flow.finish(&means.interrupt).unwrap();
        assert_eq!(flows.len(), FLOWS as usize, "{name}");
        for flow in &flows {
            assert!(last(flow, 4.0) > 0.0, "{name}: a connection stands still: {:?}", flow.received);
        }
    }
    pair.bed.links[0].change("both loss=0%").unwrap();
    assert!(pair.wait(10 * SECOND, |a, b| up(a) == WAYS && up(b) == WAYS).is_some(), "{:?}", pair.status());

    // Another implementation reads all of it, and finds no fault.
    for (filter, least) in [
        ("ip.proto == 4 || ip.proto == 41", 300),
        ("vxlan && ip.version == 4", 300),
        ("vxlan && ipv6.nxt == 17", 300),
        ("tcp", 1_000),
        ("udp.port == 862 && vxlan", 20),
    ] {
        let found = frames(&file, filter).len();
        assert!(found >= least, "{found} frames of `{filter}`");
    }
    let sums = "ip.checksum.status == 0 || udp.checksum.status == 0 || icmp.checksum.status == 0 || \
                icmpv6.checksum.status == 0";
    none(&file, sums);
    // What Weir would have spoiled, the kernels at both ends would have refused.
    for end in [&pair.bed.client, &pair.bed.server] {
        assert_eq!(checksum_errors(end), 0);
    }
    // Where a TCP checksum comes to 0, Linux writes 0xffff (skb_checksum_help), which says the same; tshark wants 0 (RFC 1624). One
    // frame in 65 536.
    none(&file, "tcp.checksum.status == 0 && !(tcp.checksum == 0xffff && tcp.checksum_calculated == 0)");
    none(&file, "_ws.malformed || _ws.unreassembled");
    pair.stop(&means);
}

#[test]
fn a_path_is_slowed_and_new_flowlets_leave_it() {
    let Some(means) = Means::find("slow path") else { return };
    let mut pair = Pair::start(&means, &["balance.rule=power-of-two", "balance.flowlet_gap=2ms"]);
    let flows = pair.flows(&means, "v4", FAR_V4, PORT_V4, 24);
    std::thread::sleep(4 * SECOND);
    let before = pair.shares(3 * SECOND);
    pair.bed.links[1].change("both delay=80ms").unwrap();
    std::thread::sleep(4 * SECOND);
    let after = pair.shares(4 * SECOND);
    let _ =
        writeln!(std::io::stderr(), "shares before {before:.2?}, with the second path slowed {after:.2?}");
    assert!(before[1] > 0.1, "{before:?}");
    assert!(after[1] < before[1] / 3.0, "{before:?} {after:?}");
    let flows = flows.finish(&means.interrupt).unwrap();
    assert!(flows.iter().all(|flow| last(flow, 4.0) > 0.0), "a connection stands still");
    let moves = pair.scrapes()[0].sum("weir_path_moves_total").unwrap();
    assert!(moves > 0.0);
    pair.stop(&means);
}
