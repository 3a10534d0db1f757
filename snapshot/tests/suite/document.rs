//! `docs/snapshot-format.md` says what the code does.

use weir_snapshot::FILE_BYTES_MAX;
use weir_snapshot::curve::{CURVATURE, INTERCEPT, RISE, SLOPE, VALUE};
use weir_snapshot::softmax::POWER;

const DOCUMENT: &str = include_str!("../../../docs/snapshot-format.md");

fn block(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("```text {} ```", numbers.join(" "))
}

#[test]
fn the_tables_are_the_codes() {
    let document = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    for (name, table) in [
        ("VALUE", &VALUE[..]),
        ("SLOPE", &SLOPE),
        ("CURVATURE", &CURVATURE),
        ("INTERCEPT", &INTERCEPT),
        ("RISE", &RISE),
    ] {
        let block = block(table.iter().map(|&number| number.into()));
        assert!(document.contains(&format!("`{name}`: {block}")), "{name}");
    }
    assert!(document.contains(&block(POWER.map(i64::from))), "POWER");
}

#[test]
fn the_example_is_the_first_golden_vector() {
    let vectors = include_str!("../../golden/worked.txt");
    let first = vectors.lines().nth(1).expect("a vector");
    assert!(DOCUMENT.contains(&format!("`{first}`")), "{first}");
}

#[test]
fn the_largest_file_is_as_stated() {
    let digits = FILE_BYTES_MAX.to_string();
    let (millions, rest) = digits.split_at(1);
    let (thousands, ones) = rest.split_at(3);
    assert!(DOCUMENT.contains(&format!("at most {millions} {thousands} {ones} bytes")), "{digits}");
}
