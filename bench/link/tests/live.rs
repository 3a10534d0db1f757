//! The binary between two real taps in two namespaces. Needs root and `ip netns`.
#![allow(clippy::unwrap_used)] // Clippy exempts test functions only; here the helpers are test code too.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const BIN: &str = env!("CARGO_BIN_EXE_weir-link");

fn ip(args: &str) -> Output {
    Command::new("ip").args(args.split(' ')).output().unwrap()
}

fn must(args: &str) {
    let output = ip(args);
    assert!(output.status.success(), "ip {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Prints why not, or panics where nothing may be skipped.
fn can_run() -> bool {
    let probe = format!("wl-{}-probe", std::process::id());
    let possible = ip(&format!("netns add {probe}")).status.success();
    if possible {
        must(&format!("netns del {probe}"));
        return true;
    }
    assert!(
        std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "needs root and network namespaces"
    );
    let _ = writeln!(std::io::stderr(), "SKIPPED live link: needs root and network namespaces");
    false
}

/// Two namespaces and the link between them; all gone on drop, whatever the test did.
struct Bed {
    spaces: [String; 2],
    link: Child,
}

impl Bed {
    fn new(test: &str, options: &[&str]) -> Bed {
        let spaces = ["a", "b"].map(|end| format!("wl-{}-{test}-{end}", std::process::id()));
        spaces.iter().for_each(|space| must(&format!("netns add {space}")));
        let mut link = Command::new(BIN)
            .args(["run", "--a", &format!("t0@{}", spaces[0]), "--b", &format!("t0@{}", spaces[1])])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(link.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let bed = Bed { spaces, link };
        assert_eq!(line, "ready\n");
        for (index, space) in bed.spaces.iter().enumerate() {
            must(&format!("-n {space} addr add 10.77.0.{}/24 dev t0", index + 1));
            must(&format!("-n {space} link set t0 up"));
        }
        bed
    }

    /// Round trips from a to b in ms; an unanswered one is left out.
    fn ping(&self, count: u32) -> Vec<f64> {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.spaces[0], "ping", "-n", "-i", "0.02", "-W", "1"])
            .args(["-c", &count.to_string(), "10.77.0.2"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse().ok()).collect()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.link.kill();
        let _ = self.link.wait();
        for space in &self.spaces {
            ip(&format!("netns del {space}"));
        }
    }
}

fn tell(control: &Path, words: &[&str]) -> Output {
    let (verb, rest) = words.split_first().unwrap();
    Command::new(BIN).arg(verb).arg("--control").arg(control).args(rest).output().unwrap()
}

#[test]
fn delay_holds_and_changes_while_it_runs() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (control, stats) = (dir.path().join("control"), dir.path().join("stats"));
    let bed =
        Bed::new("delay", &["--control", control.to_str().unwrap(), "--stats", stats.to_str().unwrap()]);

    // The first round trip also waits for ARP.
    let least = |trips: Vec<f64>| trips.into_iter().fold(f64::MAX, f64::min);
    let before = least(bed.ping(10));
    assert!((20.0..25.0).contains(&before), "10 ms each way, saw {before} ms");

    assert!(tell(&control, &["set", "both", "delay=1ms"]).status.success());
    let after = least(bed.ping(10));
    assert!((2.0..7.0).contains(&after), "1 ms each way, saw {after} ms");

    assert!(tell(&control, &["set", "up", "loss=100%"]).status.success());
    assert_eq!(bed.ping(5), Vec::<f64>::new());

    let bad = tell(&control, &["set", "both", "rate=fast"]);
    assert!(!bad.status.success());
    assert!(String::from_utf8_lossy(&bad.stderr).contains(r#""fast" is not a rate"#), "{bad:?}");

    let shown: serde_json::Value = serde_json::from_slice(&tell(&control, &["show"]).stdout).unwrap();
    assert!(shown["up"]["lost_frames"].as_u64().unwrap() >= 5, "{shown}");
    let reports = std::fs::read_to_string(&stats).unwrap();
    let last: serde_json::Value = serde_json::from_str(reports.lines().last().unwrap()).unwrap();
    assert!(last["up"]["out_bytes"].as_u64().unwrap() > 0 && last["late_ns_max"].is_u64(), "{last}");
}

#[test]
fn errors_name_what_is_wrong() {
    let output = Command::new(BIN).args(["run", "--a", "t0@no-such-space", "--b", "t1"]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("cannot make the tap t0@no-such-space"), "{text}");
    let output =
        Command::new(BIN).args(["run", "--a", "t0", "--b", "t1", "--at", "10s both"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("nothing to change"), "{text}");
}
