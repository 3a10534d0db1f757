//! The shared event trace: `golden/aurora-trace.txt` holds what happens to some flows and the integers that must
//! come out. Another implementation reads the same file (its form is in `docs/features.md`).
//!
//! Two checks: the file's events, replayed, give the file's integers; and the seeded generator gives the file's
//! events, so that the file is what this directory says it is. `WEIR_BLESS=1 cargo test -p weir-features` writes
//! it anew; do that only together with a new [`PacingSpec::VERSION`](weir_features::PacingSpec::VERSION).
#![allow(clippy::unwrap_used, clippy::panic)]

mod decisions;
mod generate;
mod trace;

use std::path::PathBuf;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/aurora-trace.txt")
}

#[test]
fn the_trace_gives_its_integers() {
    let generated = trace::annotate(&generate::events());
    if std::env::var_os("WEIR_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path(), &generated).unwrap();
    }
    let text = std::fs::read_to_string(path()).unwrap();

    let events: Vec<trace::Event> = text.lines().filter_map(trace::parse).collect();
    let replayed = trace::annotate(&events);
    for (number, (file, now)) in text.lines().zip(replayed.lines()).enumerate() {
        assert_eq!(file, now, "line {}", number + 1);
    }
    assert_eq!(text.lines().count(), replayed.lines().count());
    assert_eq!(text, generated, "the generator gives other events than the file");
}

/// A trace that never leaves the common case would prove little.
#[test]
fn the_trace_reaches_the_corners() {
    let text = std::fs::read_to_string(path()).unwrap();
    let lines =
        |word: &str| text.lines().filter(|line| line.split(' ').next() == Some(word)).collect::<Vec<_>>();
    let events = text.lines().filter_map(trace::parse).count();
    assert!(events >= 10_000, "{events} events");

    // end NOW | f0 f1 f2 duration mean sent acked lost samples min last
    let ends: Vec<Vec<i128>> = lines("end")
        .iter()
        .map(|line| line.split(" = ").nth(1).unwrap().split(' ').map(|n| n.parse().unwrap_or(-1)).collect())
        .collect();
    let some = |what: &str, holds: &dyn Fn(&[i128]) -> bool| {
        assert!(ends.iter().any(|end| holds(end)), "no interval with {what}");
    };
    some("a falling RTT", &|end| -32_000 < end[0] && end[0] < 0);
    some("a rising RTT", &|end| 0 < end[0] && end[0] < 32_000);
    some("inflation at its lower clip", &|end| end[0] == -32_768);
    some("inflation at its upper clip", &|end| end[0] == 32_768);
    some("inflation at the lowest number", &|end| end[0] == -i128::from(i32::MAX));
    some("a latency ratio at its upper clip", &|end| end[1] == 3 * 65_536);
    some("a send ratio at its upper clip", &|end| end[2] == 2 * 65_536);
    some("a ratio at the highest number", &|end| end[1] == i128::from(i32::MAX));
    some("no duration", &|end| end[3] == 0 && end[8] > 0);
    some("no RTT sample", &|end| end[4] == -1 && end[5] > 0 && end[6] > 0);
    some("nothing at all", &|end| end[5] == 0 && end[6] == 0 && end[8] == 0);
    some("an RTT at its limit", &|end| end[4] == (1 << 36) - 1);
    for samples in [1, 2, 7, 8, 9, 15, 16, 17, 32, 33, 64, 65, 128, 129] {
        some(&format!("{samples} samples"), &|end| end[8] == samples);
    }
    assert!(lines("due").iter().any(|line| line.ends_with("= 1")));
    assert!(lines("due").iter().any(|line| line.ends_with("= 0")));
    for (word, least) in [("spec", 2), ("flow", 20), ("inputs", 20), ("action", 50), ("loss", 10)] {
        assert!(lines(word).len() >= least, "{word}: {}", lines(word).len());
    }
}
