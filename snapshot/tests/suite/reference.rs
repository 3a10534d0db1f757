//! `docs/snapshot-format.md` once more, in wide arithmetic and without a line of the crate's own arithmetic, so that
//! the scalar executor has something to agree with. Asserts on its way what the decoder claims to have proven.

use weir_snapshot::curve::{CURVATURE, INTERCEPT, RISE, SLOPE, VALUE};
use weir_snapshot::softmax::POWER;
use weir_snapshot::{Activation, LayerParts, Output, Parts, Precision};

fn half_up(x: i128, shift: u32) -> i128 {
    if shift == 0 { x } else { (x + (1 << (shift - 1))).div_euclid(1 << shift) }
}

fn shifted(acc: i128, shift: i8) -> i128 {
    match u32::try_from(shift) {
        Ok(shift) => half_up(acc, shift),
        Err(_) => acc << -shift,
    }
}

fn word(x: i128) -> i128 {
    x.clamp(-32_768, 32_767)
}

fn fits_word(x: i128) -> i128 {
    assert_eq!(x, word(x), "proven not to leave 16 bits");
    x
}

fn value_range(precision: Precision) -> (i128, i128) {
    match precision {
        Precision::Bits8 => (-128, 127),
        Precision::Bits12 => (-2048, 2047),
    }
}

/// The row for `features` (Q16).
pub(crate) fn quantise(parts: &Parts, features: &[i32]) -> Vec<i16> {
    let (lo, hi) = value_range(parts.precision);
    let quantised = parts.inputs.iter().zip(features).map(|(input, &feature)| {
        let clipped = i128::from(feature).clamp(input.clip_lo.into(), input.clip_hi.into());
        let product = (clipped - i128::from(input.offset)) * i128::from(input.multiplier);
        half_up(product, input.shift.into()).clamp(lo, hi) as i16
    });
    quantised.collect()
}

/// The results for one row.
pub(crate) fn run(parts: &Parts, row: &[i16]) -> Vec<i32> {
    let (lo, hi) = value_range(parts.precision);
    let mut values: Vec<i128> = row.iter().map(|&item| i128::from(item).clamp(lo, hi)).collect();
    for (index, layer) in parts.layers.iter().enumerate() {
        let last = index + 1 == parts.layers.len();
        let raw = last && layer.activation == Activation::Identity;
        let narrowed: Vec<i64> = values.iter().map(|&value| value as i64).collect();
        values = (0..layer.outputs)
            .map(|output| {
                let acc = accumulate(layer, output, &narrowed);
                if raw {
                    return acc;
                }
                let r = word(shifted(acc, layer.shift[output]));
                let t = fits_word(half_up(r * i128::from(layer.multiplier[output]), 15));
                match (last, layer.activation, parts.precision) {
                    (false, Activation::Tanh | Activation::Sigmoid, Precision::Bits8) => {
                        let segment = (t.div_euclid(1024) + 32) as usize;
                        let product = half_up(t * i128::from(RISE[segment]), 15);
                        half_up(fits_word(i128::from(INTERCEPT[segment]) + product), 5)
                    }
                    (false, Activation::Tanh | Activation::Sigmoid, Precision::Bits12) => {
                        half_up(activate(layer.activation, t), 4)
                    }
                    (false, activation, _) => activate(activation, t).clamp(lo, hi),
                    (true, activation, _) => activate(activation, t),
                }
            })
            .collect();
        assert!(last || values.iter().all(|value| (lo..=hi).contains(value)), "values of layer {index}");
    }
    let q16: Vec<i128> = values
        .iter()
        .zip(&parts.outputs)
        .map(|(z, output)| {
            let scaled = half_up(z * i128::from(output.multiplier), output.shift.into());
            (scaled + i128::from(output.offset)).clamp(output.lo.into(), output.hi.into())
        })
        .collect();
    match parts.output {
        Output::Linear => q16.into_iter().map(|value| value as i32).collect(),
        Output::Softmax => softmax(&q16),
        Output::ArgMax => {
            let largest = q16.iter().max().expect("at least one output");
            let index = q16.iter().position(|value| value == largest).expect("the largest is there");
            vec![(index as i32) * 65_536]
        }
    }
}

fn accumulate(layer: &LayerParts, output: usize, values: &[i64]) -> i128 {
    let row = &layer.weights[output * layer.inputs..][..layer.inputs];
    let mut acc = i64::from(layer.bias[output]);
    for (&weight, value) in row.iter().zip(values) {
        acc += i64::from(weight) * value;
        assert!(i32::try_from(acc).is_ok(), "proven not to leave 32 bits");
    }
    acc.into()
}

fn activate(activation: Activation, t: i128) -> i128 {
    match activation {
        Activation::Identity => t,
        Activation::Relu { zero } => t.max(zero.into()),
        Activation::LeakyRelu { zero, slope } => {
            let d = word(t - i128::from(zero));
            let below = half_up(d.min(0) * i128::from(slope), 15);
            word(i128::from(zero) + d.max(0) + below)
        }
        Activation::Clip { lo, hi } | Activation::HardSigmoid { lo, hi } => t.clamp(lo.into(), hi.into()),
        Activation::Tanh | Activation::Sigmoid => {
            let u = word(2 * t);
            let segment = (u.div_euclid(2048) + 16) as usize;
            let g = (u.rem_euclid(2048) - 1024) * 32;
            let slope = i128::from(SLOPE[segment]) + half_up(g * i128::from(CURVATURE[segment]), 15);
            fits_word(i128::from(VALUE[segment]) + half_up(g * slope, 15))
        }
    }
}

fn softmax(values: &[i128]) -> Vec<i32> {
    let largest = values.iter().max().expect("at least one output");
    let exponential = |value: &i128| {
        let x = (largest - value) * 94_548 / 65_536;
        let (octaves, rest) = (x / 65_536, x % 65_536);
        let (point, between) = ((rest / 2048) as usize, rest % 2048);
        let (upper, lower) = (i128::from(POWER[point]), i128::from(POWER[point + 1]));
        if octaves > 30 { 0 } else { (upper - (upper - lower) * between / 2048) >> octaves }
    };
    let terms: Vec<i128> = values.iter().map(exponential).collect();
    let sum: i128 = terms.iter().sum();
    terms.iter().map(|term| ((term * 65_536 + sum / 2) / sum) as i32).collect()
}
