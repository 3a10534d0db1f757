//! A `[[model]]` from its file to a report, and each way in which that fails, in one line.

use super::*;
use crate::imitate;
use crate::network::{Activation, Layer, Output};

fn shipped(precision: Precision) -> ModelSpec {
    imitate::model_spec(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx")),
        precision,
    )
}

/// A model file of these widths in `folder`.
fn file(folder: &Path, widths: &[usize]) -> PathBuf {
    let layer = |pair: &[usize]| Layer {
        inputs: pair[0],
        outputs: pair[1],
        weights: vec![0.01; pair[0] * pair[1]],
        bias: vec![0.0; pair[1]],
        activation: Activation::Identity,
    };
    let network = Network { layers: widths.windows(2).map(layer).collect(), output: Output::Linear };
    let path = folder.join("model.onnx");
    std::fs::write(&path, onnx::export(&network, "model")).unwrap();
    path
}

#[test]
fn the_shipped_model_builds_at_both_precisions_within_its_cards_errors() {
    for (precision, share) in [(Precision::Bits8, 0.02), (Precision::Bits12, 0.002)] {
        let built = build(&shipped(precision)).unwrap();
        assert_eq!(Snapshot::decode(&built.bytes).unwrap().parts(), built.snapshot.parts());
        let report = &built.report;
        assert_eq!(report.shape, "30-32-16-1");
        assert_eq!(report.parameters, 1537);
        assert_eq!(report.activations, ["tanh", "tanh", "identity"]);
        assert!(report.quantisation.mean < share * report.quantisation.output_deviation, "{report}");
        assert_eq!(built.snapshot.schema_hash(), inputs(&shipped(precision)).unwrap().0.hash());
        assert!(report.to_string().contains("layers 30-32-16-1 (tanh, tanh, identity), 1537 parameters"));
    }
}

#[test]
fn the_shipped_model_still_holds_its_link() {
    for precision in Precision::ALL {
        let built = build(&shipped(precision)).unwrap();
        let mut driver = imitate::check::Integers::new(built.snapshot).unwrap();
        for row in imitate::check::closed_loop(&mut driver) {
            assert!(row.passes(), "{precision:?}: {row:?}");
        }
    }
}

#[test]
fn a_width_mismatch_names_what_is_expected_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = shipped(Precision::Bits8);
    spec.file = file(folder.path(), &[33, 1]);
    let line = build(&spec).unwrap_err().to_string();
    assert!(
        line.ends_with("takes 33 inputs, but model 'aurora' gives it 3 features x 10 intervals = 30"),
        "{line}"
    );
    spec.file = file(folder.path(), &[30, 2]);
    let line = build(&spec).unwrap_err().to_string();
    assert!(line.ends_with("the network gives 2 outputs, but a pacing model gives 1"), "{line}");
}

#[test]
fn the_configuration_is_checked_before_the_file() {
    let mut spec = shipped(Precision::Bits8);
    spec.file = "/nowhere.onnx".into();
    assert!(build(&spec).unwrap_err().to_string().starts_with("/nowhere.onnx: cannot be read"));
    spec.inputs[1].feature = "loss".into();
    let line = build(&spec).unwrap_err().to_string();
    assert_eq!(line, "model 'aurora': input 1 must be the feature \"latency_ratio\"");
    spec.history = 5;
    assert!(build(&spec).unwrap_err().to_string().contains("history of 10 intervals, found 5"));
    spec.function = Function::Balance;
    assert!(build(&spec).unwrap_err().to_string().contains("no features are defined for function balance"));
}
