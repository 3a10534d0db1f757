//! Networks made by hand.

use std::sync::Arc;
use weir_engine::models::{Generation, ModelSet};
use weir_features::{SIZE_INPUTS, SizeSpec};
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Snapshot,
};

/// A network that says what its input `index` says, in steps of 1/32, plus `more` of them: input 0 is the first segment's
/// length, input 7 the last size.
pub(crate) fn echo(index: usize, more: i32) -> Parts {
    // 0 to 40 become 0 to 1 280.
    let input = InputParts { multiplier: 1, shift: 11, offset: 0, clip_lo: 0, clip_hi: 40 << 16 };
    let mut weights = vec![0; SIZE_INPUTS];
    weights[index] = 1;
    Parts {
        function: Function::Schedule,
        precision: Precision::Bits12,
        schema_hash: SizeSpec::default().schema_hash(),
        name: "echo".into(),
        inputs: vec![input; SIZE_INPUTS],
        layers: vec![LayerParts {
            inputs: SIZE_INPUTS,
            outputs: 1,
            weights,
            bias: vec![more],
            multiplier: vec![0],
            shift: vec![0],
            activation: Activation::Identity,
        }],
        output: Output::Linear,
        outputs: vec![OutputParts { multiplier: 2_048, shift: 0, offset: 0, lo: 0, hi: 63 << 16 }],
    }
}

pub(crate) fn set(number: u32, parts: &Parts) -> ModelSet {
    let bytes = weir_snapshot::encode(parts).expect("hand-made parts encode");
    let snapshot = Snapshot::decode(&bytes).expect("and decode");
    let executable =
        Executable::new(snapshot, Executor::Scalar).expect("the scalar executor runs everywhere");
    let hash = SizeSpec::default().schema_hash();
    let generation = Generation::of_sizes(number, executable, hash).expect("fits the default schema");
    ModelSet::empty().with(Arc::new(generation))
}
