//! Networks made by hand.

use std::sync::Arc;
use weir_engine::models::{Generation, ModelSet};
use weir_features::{INPUTS, PacingSpec};
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Snapshot,
};

/// A pacing network of one neuron that looks at the last interval only:
///
/// ```text
/// action = 4 x (target - latency ratio) - 16 x latency inflation
/// ```
///
/// It comes to rest where the RTT is `target` times its minimum. The rate integrates the action and the queue
/// integrates the rate, so the first term alone would swing for ever; the second damps it.
pub(crate) fn latency_keeper(target: f64) -> Parts {
    // A ratio of 1 to 5 becomes 0 to 2 047 in steps of 1/512, an inflation of -1 to 1 steps of 1/2 048. With an output
    // of 512 / 65 536 per step, a weight of 1 is a factor of 4 for the one and of 16 for the other.
    let ratio = InputParts { multiplier: 1, shift: 7, offset: 1 << 16, clip_lo: 0, clip_hi: 5 << 16 };
    let inflation = InputParts { multiplier: 1, shift: 5, offset: 0, clip_lo: -(1 << 16), clip_hi: 1 << 16 };
    let (mut inputs, mut weights) = (vec![ratio; INPUTS], vec![0; INPUTS]);
    inputs[INPUTS - 3] = inflation;
    weights[INPUTS - 3] = -1;
    weights[INPUTS - 2] = -1;
    Parts {
        function: Function::Pacing,
        precision: Precision::Bits12,
        schema_hash: PacingSpec::default().schema_hash(),
        name: "latency_keeper".into(),
        inputs,
        layers: vec![LayerParts {
            inputs: INPUTS,
            outputs: 1,
            weights,
            bias: vec![((target - 1.0) * 512.0) as i32],
            multiplier: vec![0],
            shift: vec![0],
            activation: Activation::Identity,
        }],
        output: Output::Linear,
        outputs: vec![OutputParts { multiplier: 512, shift: 0, offset: 0, lo: -(10 << 16), hi: 10 << 16 }],
    }
}

/// A network that always says `action_q16`.
pub(crate) fn constant(action_q16: i32) -> Parts {
    let mut parts = latency_keeper(1.0);
    parts.layers[0].weights.fill(0);
    parts.layers[0].bias[0] = 0;
    parts.outputs[0] = OutputParts { offset: action_q16, lo: i32::MIN, hi: i32::MAX, ..parts.outputs[0] };
    parts
}

pub(crate) fn executable(parts: &Parts) -> Executable {
    let bytes = weir_snapshot::encode(parts).expect("hand-made parts encode");
    let snapshot = Snapshot::decode(&bytes).expect("and decode");
    Executable::new(snapshot, Executor::Scalar).expect("the scalar executor runs everywhere")
}

pub(crate) fn generation(number: u32, parts: &Parts) -> Arc<Generation> {
    let hash = PacingSpec::default().schema_hash();
    Arc::new(Generation::new(number, executable(parts), hash).expect("fits the default schema"))
}

pub(crate) fn set(parts: &Parts) -> ModelSet {
    ModelSet::empty().with(generation(1, parts))
}
