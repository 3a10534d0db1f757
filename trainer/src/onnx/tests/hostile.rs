//! Bytes that mean harm, or nothing: an answer, quickly, and no panic.

use super::*;
use crate::onnx::{FILE_BYTES_MAX, import};
use proptest::prelude::*;
use std::time::{Duration, Instant};

#[test]
fn every_truncation_is_refused_in_one_line() {
    let bytes = gemm().bytes();
    // The operator set comes after the graph in this encoding, so no proper prefix is complete.
    for length in 0..bytes.len() {
        let line = import_bytes(&bytes[..length], Path::new("cut.onnx")).unwrap_err().to_string();
        assert!(line.starts_with("cut.onnx: ") && !line.contains('\n'), "{line}");
    }
}

#[test]
fn what_is_no_file_of_a_sane_size_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.onnx");
    std::fs::File::create(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    let start = Instant::now();
    let line = import(&path).unwrap_err().to_string();
    assert!(line.contains("67108865 bytes; a model file may have at most 67108864"), "{line}");
    assert!(import(folder.path()).unwrap_err().to_string().ends_with("not a regular file"));
    assert!(import(Path::new("/dev/zero")).unwrap_err().to_string().ends_with("not a regular file"));
    assert!(import(&folder.path().join("none")).unwrap_err().to_string().contains("cannot be read"));
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn control_characters_in_names_do_not_break_the_line() {
    let mut file = single("Relu");
    file.graph().node[0].op_type = Some("Bad\n\u{1b}[31m".repeat(100));
    let line = file.refusal();
    assert!(line.len() < 1000 && !line.chars().any(char::is_control), "{line}");
}

#[test]
fn long_chains_and_wide_shares_stay_cheap() {
    // A thousand nodes that all read the widest input, then one too many layers.
    let mut file = File::new(
        (0..1000)
            .map(|i| {
                let from = if i == 0 { "x".to_string() } else { format!("t{i}") };
                let to = if i == 999 { "y".to_string() } else { format!("t{}", i + 1) };
                node("Tanh", &[&from], &[&to])
            })
            .collect(),
    );
    file.graph().input[0] = matrix("x", FLOAT, None, 256);
    let start = Instant::now();
    assert!(file.refusal().contains("more than 8 layers"));
    file.graph().node.extend((0..100).map(|_| node("Relu", &["x"], &[""])));
    assert!(file.refusal().contains("more than 1024 nodes"));
    assert!(start.elapsed() < Duration::from_secs(1));
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let bytes = gemm().bytes();
    let length = bytes.len();
    prop::collection::vec((0..length, any::<u8>()), 1..8).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = import_bytes(&bytes, Path::new("random"));
    }

    #[test]
    fn mutated_files_never_panic_and_what_passes_is_finite(bytes in mutated()) {
        if let Ok(network) = import_bytes(&bytes, Path::new("mutated")) {
            let row = vec![0.5; network.inputs()];
            prop_assert_eq!(network.evaluate(&row).len(), network.outputs());
            for layer in &network.layers {
                prop_assert!(layer.weights.iter().chain(&layer.bias).all(|w| w.is_finite()));
            }
        }
    }
}
