//! Every way to be wrong that we could think of, and which stage of the gate must see it.

use crate::network::{Activation, Network, Output};
use crate::online::gate::RefusalReason;
use crate::rng::Rng;

/// A kind of wrong candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "described by `about`")]
pub enum Kind {
    StaleGeneration,
    NotConverged,
    StabilityNan,
    WeightNan,
    WeightInfinite,
    WeightBeyondFloat,
    LayerMissing,
    WeightsMissing,
    OtherInputs,
    OtherOutputs,
    OtherMeaning,
    Copy,
    NearlyACopy,
    KnownBad,
    Overflowing,
    BytesCut,
    BytesFlipped,
    BytesTrailing,
    OtherFunction,
    OtherSchema,
    OtherNetwork,
    BeyondTheGuard,
    Saturated,
    AlwaysFaster,
    SignFlipped,
    AlwaysHolds,
    DriftsToTheFloor,
    JudgedByNothing,
}

/// What is done to the bytes, or to what comes with a candidate, instead of to its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trick {
    None,
    Stale,
    Moving,
    NoStability,
    Cut,
    Flip,
    Trail,
    Function,
    Schema,
    Other,
    NoEvidence,
}

use RefusalReason as R;

impl Kind {
    /// All.
    pub const ALL: [Kind; 28] = [
        Kind::StaleGeneration,
        Kind::NotConverged,
        Kind::StabilityNan,
        Kind::WeightNan,
        Kind::WeightInfinite,
        Kind::WeightBeyondFloat,
        Kind::LayerMissing,
        Kind::WeightsMissing,
        Kind::OtherInputs,
        Kind::OtherOutputs,
        Kind::OtherMeaning,
        Kind::Copy,
        Kind::NearlyACopy,
        Kind::KnownBad,
        Kind::Overflowing,
        Kind::BytesCut,
        Kind::BytesFlipped,
        Kind::BytesTrailing,
        Kind::OtherFunction,
        Kind::OtherSchema,
        Kind::OtherNetwork,
        Kind::BeyondTheGuard,
        Kind::Saturated,
        Kind::AlwaysFaster,
        Kind::SignFlipped,
        Kind::AlwaysHolds,
        Kind::DriftsToTheFloor,
        Kind::JudgedByNothing,
    ];

    /// What is wrong, in words.
    pub const fn about(self) -> &'static str {
        match self {
            Kind::StaleGeneration => "tuned from a generation that is gone",
            Kind::NotConverged => "stability still moving",
            Kind::StabilityNan => "stability is no number",
            Kind::WeightNan => "a weight is NaN",
            Kind::WeightInfinite => "a weight is infinite",
            Kind::WeightBeyondFloat => "a weight is beyond f32",
            Kind::LayerMissing => "a layer is missing",
            Kind::WeightsMissing => "a layer has too few weights",
            Kind::OtherInputs => "takes another number of inputs",
            Kind::OtherOutputs => "gives another number of outputs",
            Kind::OtherMeaning => "gives a softmax",
            Kind::Copy => "a copy of what runs",
            Kind::NearlyACopy => "just below the fidelity threshold",
            Kind::KnownBad => "says what a rolled back one said",
            Kind::Overflowing => "weights that no accumulator holds",
            Kind::BytesCut => "snapshot cut short",
            Kind::BytesFlipped => "snapshot with a flipped bit",
            Kind::BytesTrailing => "snapshot with bytes behind it",
            Kind::OtherFunction => "snapshot of another function",
            Kind::OtherSchema => "snapshot of another schema",
            Kind::OtherNetwork => "integers of another network",
            Kind::BeyondTheGuard => "actions beyond the guard",
            Kind::Saturated => "saturated weights",
            Kind::AlwaysFaster => "always faster: exploding rates",
            Kind::SignFlipped => "sign of the policy flipped",
            Kind::AlwaysHolds => "constant: holds its rate",
            Kind::DriftsToTheFloor => "drifts slowly to the rate floor",
            Kind::JudgedByNothing => "no hold-out rows to judge by",
        }
    }

    /// The stages that must refuse it: one, where what is wrong can be seen in one place only.
    pub const fn expected(self) -> &'static [RefusalReason] {
        match self {
            Kind::StaleGeneration => &[R::Stale],
            Kind::NotConverged | Kind::StabilityNan => &[R::NotConverged],
            Kind::WeightNan | Kind::WeightInfinite | Kind::WeightBeyondFloat => &[R::NotFinite],
            Kind::LayerMissing
            | Kind::WeightsMissing
            | Kind::OtherInputs
            | Kind::OtherOutputs
            | Kind::OtherMeaning => &[R::Shape],
            Kind::Copy | Kind::NearlyACopy => &[R::Unnecessary],
            Kind::KnownBad => &[R::KnownBad],
            Kind::Overflowing => &[R::Unquantisable, R::Invalid],
            Kind::BytesCut | Kind::BytesFlipped | Kind::BytesTrailing => &[R::Invalid],
            Kind::OtherFunction | Kind::OtherSchema => &[R::Foreign],
            Kind::OtherNetwork => &[R::Imprecise],
            Kind::BeyondTheGuard => &[R::Unsafe],
            // Steps too steep for the format's multipliers, or for 12 bits; what both hold leans on the guard, or, where the
            // network's answers are small enough, jumps between two rates.
            Kind::Saturated => &[R::Unquantisable, R::Imprecise, R::Unsafe, R::WorseThanRunning],
            Kind::AlwaysFaster => &[R::Floods],
            Kind::SignFlipped => &[R::Unsafe, R::Floods, R::WorseThanRunning],
            Kind::AlwaysHolds => &[R::Floods, R::WorseThanRunning, R::Forgets],
            // The slowest take so long to come down from above their share that they flood the path meanwhile.
            Kind::DriftsToTheFloor => &[R::Floods, R::WorseThanRunning, R::Forgets],
            Kind::JudgedByNothing => &[R::TooLittleEvidence],
        }
    }

    pub(super) const fn trick(self) -> Trick {
        match self {
            Kind::StaleGeneration => Trick::Stale,
            Kind::NotConverged => Trick::Moving,
            Kind::StabilityNan => Trick::NoStability,
            Kind::BytesCut => Trick::Cut,
            Kind::BytesFlipped => Trick::Flip,
            Kind::BytesTrailing => Trick::Trail,
            Kind::OtherFunction => Trick::Function,
            Kind::OtherSchema => Trick::Schema,
            Kind::OtherNetwork => Trick::Other,
            Kind::JudgedByNothing => Trick::NoEvidence,
            _ => Trick::None,
        }
    }

    /// A candidate of this kind, made of what runs. `sigma` is the deviation of its output, `known_bad` what was rolled back.
    pub(super) fn make(
        self,
        running: &Network,
        known_bad: &Network,
        (sigma, threshold): (f64, f64),
        rng: &mut Rng,
    ) -> Network {
        let mut network = running.clone();
        let at = rng.below(network.layers.len());
        match self {
            Kind::WeightNan => spoil(&mut network, at, f64::NAN, rng),
            Kind::WeightInfinite => {
                let value = if rng.below(2) == 0 { f64::INFINITY } else { f64::NEG_INFINITY };
                spoil(&mut network, at, value, rng);
            }
            Kind::WeightBeyondFloat => spoil(&mut network, at, rng.uniform(1e39, 1e300), rng),
            Kind::LayerMissing => drop(network.layers.remove(at)),
            Kind::WeightsMissing => {
                let few = rng.below(network.layers[at].weights.len());
                network.layers[at].weights.truncate(few);
            }
            Kind::OtherInputs => {
                let first = &mut network.layers[0];
                first.inputs += 1 + rng.below(5);
                first.weights.resize(first.inputs * first.outputs, 0.1);
            }
            Kind::OtherOutputs => {
                let more = 1 + rng.below(5);
                if let Some(last) = network.layers.last_mut() {
                    last.outputs += more;
                    last.weights.resize(last.inputs * last.outputs, 0.1);
                    last.bias.resize(last.outputs, 0.0);
                }
            }
            Kind::OtherMeaning => network.output = Output::Softmax,
            Kind::Copy => {}
            Kind::NearlyACopy => {
                // What runs is rounded itself: a quarter of the threshold is left for that.
                shift(&mut network, sigma * threshold * rng.uniform(0.5, 0.75));
            }
            Kind::KnownBad => network = known_bad.clone(),
            Kind::Overflowing => {
                for weight in &mut network.layers[at].weights {
                    *weight *= rng.uniform(1e33, 1e34);
                }
                if let Some(last) = network.layers.last_mut() {
                    last.bias.fill(rng.uniform(1e36, 1e37));
                }
            }
            Kind::BeyondTheGuard => {
                let sign = if rng.below(2) == 0 { 1.0 } else { -1.0 };
                constant(&mut network, sign * rng.uniform(10.5, 500.0));
            }
            Kind::Saturated => {
                let factor = rng.uniform(20.0, 500.0);
                // The last one keeps its own: bang-bang between the ends of what it ever said.
                let hidden = network.layers.len().saturating_sub(1);
                for layer in &mut network.layers[..hidden] {
                    layer.weights.iter_mut().for_each(|weight| *weight *= factor);
                }
            }
            Kind::AlwaysFaster => constant(&mut network, rng.uniform(5.0, 9.5)),
            Kind::SignFlipped => {
                if let Some(last) = network.layers.last_mut() {
                    last.weights.iter_mut().chain(&mut last.bias).for_each(|value| *value = -*value);
                }
            }
            Kind::AlwaysHolds => constant(&mut network, rng.uniform(-0.02, 0.02)),
            Kind::DriftsToTheFloor => constant(&mut network, -rng.uniform(0.05, 3.0)),
            // Better ones, as far as floats go: what is wrong lies elsewhere.
            Kind::StaleGeneration
            | Kind::NotConverged
            | Kind::StabilityNan
            | Kind::BytesCut
            | Kind::BytesFlipped
            | Kind::BytesTrailing
            | Kind::OtherFunction
            | Kind::OtherSchema
            | Kind::OtherNetwork
            | Kind::JudgedByNothing => shift(&mut network, sigma * rng.uniform(0.2, 0.5)),
        }
        network
    }
}

fn spoil(network: &mut Network, layer: usize, value: f64, rng: &mut Rng) {
    let layer = &mut network.layers[layer];
    let place = rng.below(layer.weights.len() + layer.bias.len());
    match place.checked_sub(layer.weights.len()) {
        None => layer.weights[place] = value,
        Some(bias) => layer.bias[bias] = value,
    }
}

fn shift(network: &mut Network, by: f64) {
    if let Some(last) = network.layers.last_mut() {
        last.bias.iter_mut().for_each(|bias| *bias += by);
    }
}

/// Answers this to everything.
fn constant(network: &mut Network, value: f64) {
    if let Some(last) = network.layers.last_mut() {
        last.weights.fill(0.0);
        last.bias.fill(value);
        last.activation = Activation::Identity;
    }
}
