//! The features in C against the shared trace.

use crate::cc::{Folder, run};
use std::path::PathBuf;

#[test]
fn the_trace_gives_its_integers_in_c() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../features/golden/aurora-trace.txt");
    let text = std::fs::read_to_string(path).expect("the trace");
    let events = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(events >= 10_000, "{events} events");
    let folder = Folder::new();
    let program = folder.compile("trace", &[]);
    let found = String::from_utf8(run(&program, &[], text.as_bytes())).expect("text");
    for (number, (meant, found)) in text.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, meant, "line {}", number + 1);
    }
    assert_eq!(found.lines().count(), text.lines().count());
}
