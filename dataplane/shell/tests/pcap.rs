//! `weir run conf/pcap.toml`: the same bytes twice, nothing lost, no checksum broken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

mod captures;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use weir_shell::capture::{CaptureReader, CaptureWriter, Record};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn records(file: &Path) -> Vec<Record> {
    let mut reader = CaptureReader::open(file).unwrap();
    std::iter::from_fn(|| reader.read().unwrap()).collect()
}

/// Runs the shipped configuration with its output elsewhere.
fn run(out: &Path) -> Output {
    let captures = repository().join("conf/pcap");
    let set = |side: &str| {
        let (captures, out) = (captures.display(), out.display());
        format!("ports.{side}=pcap:in={captures}/{side}.pcap,out={out}/{side}.pcap")
    };
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("run")
        .arg(repository().join("conf/pcap.toml"))
        .args(["--set", &set("inside"), "--set", &set("outside")])
        .output()
        .unwrap()
}

#[test]
fn the_shipped_captures_are_what_the_generator_makes() {
    for (name, frames) in ["inside.pcap", "outside.pcap"].iter().zip(captures::make(1)) {
        let made: Vec<Record> =
            frames.into_iter().map(|(at_ns, bytes, wire_len)| Record { at_ns, bytes, wire_len }).collect();
        assert_eq!(records(&repository().join("conf/pcap").join(name)), made, "{name}");
    }
}

#[test]
fn two_runs_give_the_same_bytes_and_lose_nothing() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let outputs = folders.each_ref().map(|folder| run(folder.path()));
    for output in &outputs {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(outputs[0].stdout, outputs[1].stdout);
    let said = String::from_utf8(outputs[0].stdout.clone()).unwrap();
    assert!(said.contains("= accounted for"), "{said}");
    let inferences: u64 = said.split("; ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(inferences > 0, "the model never decided: {said}");

    let of = |folder: &tempfile::TempDir, side: &str| folder.path().join(format!("{side}.pcap"));
    for side in ["inside", "outside"] {
        let [first, second] = folders.each_ref().map(|folder| std::fs::read(of(folder, side)).unwrap());
        assert!(first == second, "{side}.pcap differs between two runs");
    }

    // A wire: what came in on one side went out of the other, apart from time and congestion marks.
    let shipped = repository().join("conf/pcap");
    for (from, to) in [("inside", "outside"), ("outside", "inside")] {
        let came = records(&shipped.join(format!("{from}.pcap")));
        let left = records(&of(&folders[0], to));
        assert_eq!(came.len(), left.len(), "{from} to {to}");
        assert!(left.windows(2).all(|two| two[0].at_ns <= two[1].at_ns), "time went back");
        let bytes = |records: &[Record]| records.iter().map(|record| u64::from(record.wire_len)).sum::<u64>();
        assert_eq!(bytes(&came), bytes(&left));
    }
    let outside_came = records(&shipped.join("outside.pcap"));
    assert_eq!(outside_came, records(&of(&folders[0], "inside")), "frames to the inside are not held");
    let delayed = records(&of(&folders[0], "outside"));
    assert_ne!(records(&shipped.join("inside.pcap")), delayed, "nothing was paced");
}

/// The shipped captures through a router: the stations between which the transfers run ask for their gateways first.
fn route(folder: &Path) -> Output {
    let [inside, outside] = captures::make(1);
    let sides = [
        ("inside", "198.51.100.254", "2001:db8::", "02:00:00:00:00:02", inside),
        ("outside", "203.0.113.254", "2001:db8::3", "02:00:00:00:00:01", outside),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.arg("run").arg(repository().join("conf/route.toml")).args(["--set", "route.to=[]"]);
    for (side, v4, v6, mac, frames) in sides {
        let (into, out) = (folder.join(format!("{side}-in.pcap")), folder.join(format!("{side}.pcap")));
        let mut writer = CaptureWriter::create(&into).unwrap();
        let gateway_v4: std::net::Ipv4Addr = v4.parse().unwrap();
        let gateway_v6: std::net::Ipv6Addr = v6.parse().unwrap();
        let first = captures::introductions(side == "inside", gateway_v4.octets(), gateway_v6.octets());
        for (at_ns, bytes, wire_len) in first.into_iter().chain(frames) {
            writer.write(at_ns, &bytes, wire_len).unwrap();
        }
        writer.finish().unwrap();
        for assignment in [
            format!("ports.{side}=pcap:in={},out={}", into.display(), out.display()),
            format!("route.{side}.addresses=[\"{v4}/24\", \"{v6}/127\"]"),
            format!("route.{side}.mac={mac}"),
        ] {
            command.args(["--set", &assignment]);
        }
    }
    command.output().unwrap()
}

#[test]
fn a_router_takes_one_hop_from_each_packet_and_accounts_for_all() {
    let folder = tempfile::tempdir().unwrap();
    let output = route(folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("= accounted for"), "{said}");
    // Four were asked and answered; the VLANs' two transfers end here; half of the rest was paced.
    for part in ["originated 4 ", "consumed 4", "originated 4", "paced ", "not_for_us "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for (side, mac) in [("inside", 2), ("outside", 1)] {
        let left = records(&folder.path().join(format!("{side}.pcap")));
        let routed: Vec<_> = left
            .iter()
            .filter_map(|record| match (&record.bytes[12..14], record.bytes[20]) {
                ([0x08, 0x00], _) => Some((record.bytes[22], &record.bytes[6..12])),
                ([0x86, 0xDD], 6) => Some((record.bytes[21], &record.bytes[6..12])),
                _ => None,
            })
            .collect();
        assert!(routed.len() > 120, "{side}: {}", routed.len());
        assert!(routed.iter().all(|routed| *routed == (63, &[2, 0, 0, 0, 0, mac])), "{side}");
    }
}

#[test]
fn tshark_finds_no_bad_checksum() {
    if Command::new("tshark").arg("--version").output().is_err() {
        assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "tshark is missing");
        eprintln!("SKIPPED checksums by tshark: tshark is not installed");
        return;
    }
    // A router passes two of the four transfers on: the others bear VLAN tags.
    for (mode, least) in [(run as fn(&Path) -> Output, 250), (route, 190)] {
        let folder = tempfile::tempdir().unwrap();
        assert!(mode(folder.path()).status.success());
        judge_by_tshark(folder.path(), least);
    }
}

fn judge_by_tshark(folder: &Path, least: usize) {
    for side in ["inside", "outside"] {
        let fields = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"];
        let always = ["icmp.checksum.status", "icmpv6.checksum.status"];
        let output = Command::new("tshark")
            .args(["-n", "-r"])
            .arg(folder.join(format!("{side}.pcap")))
            .args(fields.iter().flat_map(|field| {
                ["-o".to_owned(), format!("{}:TRUE", field.replace(".checksum.status", ".check_checksum"))]
            }))
            .args(["-T", "fields"])
            .args(fields.iter().chain(&always).flat_map(|field| ["-e", *field]))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // 0 is bad, 1 good, 2 unverified (fragments, cut frames).
        let all: Vec<&str> = text.split(['\t', '\n']).filter(|status| !status.is_empty()).collect();
        assert!(
            all.iter().filter(|status| **status == "1").count() > least,
            "tshark verified almost nothing: {text}"
        );
        assert!(!all.contains(&"0") && !all.contains(&"Bad"), "bad checksum on the {side}: {text}");
    }
}
