//! Every frame: the corpus, whole, cut at every byte and split into segments at every byte, through a real worker.
//!
//! `corpus/frames.tsv` and `corpus/crash.tsv` are the table: one line a frame, with its verdict. See `corpus/make.py`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail their test")]

mod table;
mod wire;

use std::path::Path;
use std::process::Command;
use table::{Scene, scenes};
use weir_engine::io::Side;
use weir_engine::verdict::Verdict;
use weir_engine::wire::{Parsed, parse};
use wire::Wire;

/// How the parser's answer is called in the table.
fn kind(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Tcp(_) => "Tcp".to_owned(),
        Parsed::Quote(_) => "Quote".to_owned(),
        Parsed::Untracked { kind, .. } => format!("{kind:?}"),
        Parsed::Malformed(fault) => format!("{fault:?}"),
    }
}

/// The sides on which `case` says that its frame arrives.
fn sides(name: &str) -> &'static [Side] {
    match name {
        "inside" => &[Side::Inside],
        "outside" => &[Side::Outside],
        "both" => &[Side::Inside, Side::Outside],
        other => panic!("no side: {other}"),
    }
}

/// A worker that has seen all frames of a scene.
fn after(scene: &Scene, mut wire: Wire) -> Wire {
    for case in &scene.cases {
        for side in sides(&case.side) {
            wire.offer(*side, &case.bytes, case.bytes.len(), case.bytes.len());
        }
    }
    wire
}

#[test]
fn each_frame_is_what_the_table_says_and_ends_as_the_table_says() {
    let scenes = scenes();
    assert!(scenes.len() >= 9, "the corpus is not there");
    for scene in &scenes {
        for mut wire in [Wire::unpaced(), Wire::paced()] {
            for case in &scene.cases {
                let parsed = parse(&case.bytes, case.bytes.len() as u32);
                assert_eq!(kind(&parsed), case.kind, "{case}");
                for side in sides(&case.side) {
                    let verdict = wire.offer(*side, &case.bytes, case.bytes.len(), case.bytes.len());
                    assert_eq!(verdict.name(), case.verdict, "{case}, from {side:?}");
                }
            }
            wire.finish();
        }
    }
}

#[test]
fn a_frame_cut_at_any_byte_is_malformed_or_has_lost_padding_only() {
    for scene in &scenes() {
        let mut wire = after(scene, Wire::unpaced());
        for case in &scene.cases {
            for len in 0..=case.bytes.len() {
                let expected = match len {
                    0 => Verdict::Empty.name(),
                    _ if len < case.end => Verdict::Malformed.name(),
                    _ => &case.again,
                };
                for side in sides(&case.side) {
                    let verdict = wire.offer(*side, &case.bytes, len, len);
                    assert_eq!(verdict.name(), expected, "{len} bytes of {case}, from {side:?}");
                }
            }
        }
        wire.finish();
    }
}

#[test]
fn a_frame_in_two_segments_ends_as_a_whole_one_when_the_first_holds_its_headers() {
    for scene in &scenes() {
        let mut wire = after(scene, Wire::unpaced());
        for case in scene.cases.iter().filter(|case| !case.bytes.is_empty()) {
            for first in 0..=case.bytes.len() {
                let whole = first >= case.headers;
                let parsed = parse(&case.bytes[..first], case.bytes.len() as u32);
                let expected_kind = if whole { &case.kind } else { "SplitHeaders" };
                assert_eq!(kind(&parsed), expected_kind, "first {first} bytes of {case}");
                let expected = if whole { &case.again } else { Verdict::Untracked.name() };
                for side in sides(&case.side) {
                    let verdict = wire.offer(*side, &case.bytes, first, case.bytes.len());
                    assert_eq!(verdict.name(), expected, "first {first} bytes of {case}, from {side:?}");
                }
            }
        }
        wire.finish();
    }
}

/// The committed corpus is what its script writes, byte for byte.
#[test]
fn the_script_writes_the_corpus_that_is_here() {
    const PYTHON: &str = "/usr/bin/python3";
    let scapy = Command::new(PYTHON).args(["-c", "import scapy"]).output();
    if !scapy.is_ok_and(|output| output.status.success()) {
        let why = "no python3-scapy: apt-get install python3-scapy";
        assert!(std::env::var_os("WEIR_REQUIRE_ALL").is_none_or(|value| value != "1"), "cannot run: {why}");
        eprintln!("SKIPPED the corpus' script: {why}");
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("corpus");
    std::fs::create_dir_all(&folder).unwrap();
    let output = Command::new(PYTHON).arg(table::folder().join("make.py")).arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut written = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let name = file.unwrap().file_name();
        let here = std::fs::read(table::folder().join(&name)).unwrap();
        assert!(here == std::fs::read(folder.join(&name)).unwrap(), "{name:?}: run corpus/make.py");
        written += 1;
    }
    assert_eq!(written, 9, "eight captures and a table");
}
