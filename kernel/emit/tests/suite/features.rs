//! The features in C against the shared traces.

use crate::cc::{Folder, run};
use std::path::PathBuf;

/// Every line of a trace of at least so many events comes out as it is.
fn gives_its_integers(name: &str, least: usize) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../features/golden").join(name);
    let text = std::fs::read_to_string(path).expect("the trace");
    let events = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(events >= least, "{events} events");
    let folder = Folder::new();
    for program in [folder.compile("trace", &[]), folder.compile_checked("trace", &[])] {
        let found = String::from_utf8(run(&program, &[], text.as_bytes())).expect("text");
        for (number, (meant, found)) in text.lines().zip(found.lines()).enumerate() {
            assert_eq!(found, meant, "line {}", number + 1);
        }
        assert_eq!(found.lines().count(), text.lines().count());
    }
}

#[test]
fn the_trace_gives_its_integers_in_c() {
    gives_its_integers("aurora-trace.txt", 10_000);
}

#[test]
fn the_trace_of_decisions_gives_its_integers_in_c() {
    gives_its_integers("decisions-trace.txt", 5_000);
}
