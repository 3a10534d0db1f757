//! Models and rows of any shape from a seed.

use proptest::prelude::*;
use weir_snapshot::{
    Activation, Function, INPUT_MULTIPLIER_MAX, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, SHIFT_MAX, SHIFT_MIN, WIDE_SHIFT_MAX,
};

/// SplitMix64 (Steele, Lea, Flood 2014): small, and the same everywhere.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Uniform in `lo..=hi`.
    pub(crate) fn between(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi.abs_diff(lo) + 1)) as i64
    }
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }
    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        let (a, b) = (uniform(self.next()), uniform(self.next()));
        (-2.0 * a.ln()).sqrt() * (core::f64::consts::TAU * b).cos()
    }
}

/// What a random model looks like before its numbers are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) precision: Precision,
    pub(crate) output: Output,
    /// Inputs, then the outputs of each layer.
    pub(crate) widths: Vec<usize>,
    pub(crate) seed: u64,
}

/// Depth 1 to 8; mostly narrow layers, some up to the limit. A third has none wider than a register of words.
pub(crate) fn shapes() -> impl Strategy<Value = Shape> {
    let width = prop_oneof![6 => 1_usize..=40, 2 => 41_usize..=96, 1 => 250_usize..=256];
    let precision = prop_oneof![Just(Precision::Bits8), Just(Precision::Bits12)];
    let output =
        prop_oneof![2 => Just(Output::Linear), 1 => Just(Output::Softmax), 1 => Just(Output::ArgMax)];
    let widths = prop_oneof![
        2 => prop::collection::vec(width, 2..=9),
        1 => prop::collection::vec(1_usize..=32, 2..=9),
    ];
    (precision, output, widths, any::<u64>()).prop_map(|(precision, output, widths, seed)| Shape {
        precision,
        output,
        widths,
        seed,
    })
}

impl Shape {
    /// A valid model of this shape. Scales are such that values neither vanish nor all saturate, with outliers to
    /// every limit of the format.
    pub(crate) fn parts(&self) -> Parts {
        let rng = &mut Rng(self.seed);
        let depth = self.widths.len() - 1;
        let layers = (0..depth)
            .map(|at| self.layer(rng, self.widths[at], self.widths[at + 1], at + 1 == depth))
            .collect();
        Parts {
            function: Function::ALL[rng.next() as usize % 3],
            precision: self.precision,
            schema_hash: rng.next(),
            name: "random".into(),
            inputs: (0..self.widths[0]).map(|_| input(rng)).collect(),
            layers,
            output: self.output,
            outputs: (0..self.widths[depth]).map(|_| output(rng)).collect(),
        }
    }

    fn layer(&self, rng: &mut Rng, inputs: usize, outputs: usize, last: bool) -> LayerParts {
        let weight_max = i64::from(self.precision.weight_max());
        let value_max = -i64::from(self.precision.value_range().0);
        let extreme = rng.one_in(8);
        let weight = |rng: &mut Rng| match extreme {
            true => [weight_max, -weight_max, 0][rng.next() as usize % 3],
            false => rng.between(-weight_max, weight_max),
        };
        let weights: Vec<i16> = (0..inputs * outputs).map(|_| weight(rng) as i16).collect();
        let activation = self.activation(rng, last);
        let scaled = !last || activation != Activation::Identity;
        // An accumulator's usual size: that of a random walk.
        let usual = ((inputs as f64).sqrt() * (weight_max * value_max) as f64 / 3.0) as i64;
        let usual_shift = i64::from(usual.ilog2()).saturating_sub(13).max(0);
        // How far each output's products alone could reach.
        let reach: Vec<i64> = weights
            .chunks(inputs)
            .map(|row| value_max * row.iter().map(|weight| i64::from(weight.unsigned_abs())).sum::<i64>())
            .collect();
        let shift: Vec<i8> = reach
            .iter()
            .map(|&reach| {
                let lift_max = (i64::from(i32::MAX) / reach.max(1)).ilog2() as i8;
                let shift = match (scaled, rng.one_in(20)) {
                    (false, _) => 0,
                    (true, true) => rng.between(SHIFT_MIN.into(), SHIFT_MAX.into()) as i8,
                    (true, false) => rng.between(usual_shift - 2, usual_shift + 2) as i8,
                };
                shift.max(-lift_max)
            })
            .collect();
        let multiplier = (0..outputs)
            .map(|_| match (scaled, rng.one_in(20)) {
                (false, _) => 0,
                (true, true) => [0, 1, i16::MAX][rng.next() as usize % 3],
                (true, false) => rng.between(64, i16::MAX.into()) as i16,
            })
            .collect();
        let bias = reach
            .iter()
            .zip(&shift)
            .map(|(reach, &shift)| {
                let rounding = (1_i64 << shift.max(0)) >> 1;
                let room = (i64::from(i32::MAX) >> -shift.min(0)) - reach - rounding;
                let bias = match rng.one_in(10) {
                    true => [room, -room][rng.next() as usize % 2],
                    false => rng.between(-usual, usual),
                };
                bias.clamp(-room, room) as i32
            })
            .collect();
        LayerParts { inputs, outputs, weights, bias, multiplier, shift, activation }
    }

    fn activation(&self, rng: &mut Rng, last: bool) -> Activation {
        let (min, max) = if last { (i16::MIN, i16::MAX) } else { self.precision.value_range() };
        let any = |rng: &mut Rng| rng.between(min.into(), max.into()) as i16;
        let (a, b) = (any(rng), any(rng));
        let (lo, hi) = (a.min(b), a.max(b));
        match rng.next() % 8 {
            0 => Activation::Identity,
            1 => Activation::Relu { zero: if rng.one_in(2) { min } else { a } },
            2 => Activation::LeakyRelu { zero: a, slope: rng.between(0, i16::MAX.into()) as i16 },
            3 => Activation::Clip { lo, hi },
            4 => Activation::HardSigmoid { lo, hi },
            5 => Activation::Sigmoid,
            _ => Activation::Tanh,
        }
    }

    /// `n` rows, most in the precision's range, some at its ends, some beyond it.
    pub(crate) fn rows(&self, n: usize, rng: &mut Rng) -> Vec<i16> {
        let (lo, hi) = self.precision.value_range();
        let item = |kind| match kind {
            0 => rng.between(i16::MIN.into(), i16::MAX.into()) as i16,
            1 => [lo, hi][rng.next() as usize % 2],
            2 => [i16::MIN, i16::MAX, 0][rng.next() as usize % 3],
            _ => rng.between(lo.into(), hi.into()) as i16,
        };
        (0..n).flat_map(|row| vec![row % 16; self.widths[0]]).map(item).collect()
    }
}

fn input(rng: &mut Rng) -> InputParts {
    let any = |rng: &mut Rng| rng.between(i32::MIN.into(), i32::MAX.into()) as i32;
    if rng.one_in(4) {
        let (a, b) = (any(rng), any(rng));
        let multiplier = [-INPUT_MULTIPLIER_MAX, INPUT_MULTIPLIER_MAX][rng.next() as usize % 2];
        let shift = rng.between(0, WIDE_SHIFT_MAX.into()) as u8;
        return InputParts { multiplier, shift, offset: any(rng), clip_lo: a.min(b), clip_hi: a.max(b) };
    }
    let multiplier = rng.between(-(1 << 24), 1 << 24) as i32;
    InputParts { multiplier, shift: 34, offset: 65_536, clip_lo: -4 * 65_536, clip_hi: 5 * 65_536 }
}

fn output(rng: &mut Rng) -> OutputParts {
    let any = |rng: &mut Rng| rng.between(i32::MIN.into(), i32::MAX.into()) as i32;
    if rng.one_in(4) {
        let (a, b) = (any(rng), any(rng));
        let multiplier = rng.between(0, i32::MAX.into()) as i32;
        let shift = rng.between(0, WIDE_SHIFT_MAX.into()) as u8;
        return OutputParts { multiplier, shift, offset: any(rng), lo: a.min(b), hi: a.max(b) };
    }
    let multiplier = rng.between(1 << 24, i32::MAX.into()) as i32;
    OutputParts { multiplier, shift: 31, offset: 0, lo: i32::MIN, hi: i32::MAX }
}
