//! The features against the shared trace.

use std::path::PathBuf;

/// The events, by the numbers that `c/aurora.bpf.c` has for them.
const KINDS: [&str; 14] = [
    "spec",
    "flow",
    "open",
    "send",
    "ack",
    "loss",
    "due",
    "end",
    "inputs",
    "action",
    "brake-begin",
    "brake",
    "longer-begin",
    "longer",
];

#[test]
fn the_trace_gives_its_integers_in_the_kernel() {
    gives_its_integers("aurora-trace.txt", "", 10_000, 20_000);
}

#[test]
fn the_brake_gives_its_integers_in_the_kernel() {
    gives_its_integers("decisions-trace.txt", "brake", 2_000, 2_000);
}

#[test]
fn longer_paths_give_their_integers_in_the_kernel() {
    gives_its_integers("decisions-trace.txt", "longer", 1_200, 1_200);
}

/// Those lines of a trace that begin so, at least so many events with so many results.
fn gives_its_integers(name: &str, prefix: &str, least: usize, least_numbers: usize) {
    let Some(mut bench) = crate::bench("bpf trace") else { return };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../features/golden").join(name);
    let text = std::fs::read_to_string(path).expect("the trace");
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty() && line.starts_with(prefix))
        .collect();
    let mut events = Vec::new();
    for line in &lines {
        let (event, _) = line.split_once(" =").unwrap_or((line, ""));
        let mut words = event.split_whitespace();
        let name = words.next().expect("an event");
        let kind = KINDS.iter().position(|kind| *kind == name).expect(name) as u32;
        // A span without end is a number of 64 unsigned bits.
        let number =
            |word: &str| word.parse::<u64>().map(|number| number as i64).or_else(|_| word.parse()).ok();
        events.push((kind, words.map(number).collect::<Vec<Option<i64>>>()));
    }
    assert!(events.len() >= least, "{} events", events.len());
    let results = bench.replay(&events).expect("runs");
    let mut compared = 0;
    for (line, ((kind, _), found)) in lines.iter().zip(events.iter().zip(&results)) {
        let Some((_, meant)) = line.split_once(" =") else { continue };
        // The hash of the definitions has no part in the arithmetic.
        if *kind == 0 {
            continue;
        }
        // The mean RTT of an interval without samples is none, which the program has as 0.
        let meant: Vec<i64> = meant
            .split_whitespace()
            .map(|word| {
                if word == "-" {
                    0
                } else {
                    word.parse::<i64>().unwrap_or_else(|_| word.parse::<u64>().expect(word) as i64)
                }
            })
            .collect();
        assert_eq!(found[..meant.len()], meant[..], "{line}");
        compared += meant.len();
    }
    assert!(compared > least_numbers, "{compared} numbers");
}
