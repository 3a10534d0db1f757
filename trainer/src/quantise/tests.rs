//! Integers against the float network, over activations, precisions and shapes.

use super::*;
use crate::network::Layer;
use crate::rng::Rng;
use crate::spec::{ModelSpec, build};
use crate::verify::{self, Errors};
use std::path::Path;
use weir_snapshot::Snapshot;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Clip { lo: -0.5, hi: 1.5 },
    Activation::Tanh,
    Activation::Sigmoid,
    Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
];

fn network(widths: &[usize], activation: Activation, last: Activation, rng: &mut Rng) -> Network {
    let count = widths.len() - 1;
    let layers = widths
        .windows(2)
        .enumerate()
        .map(|(index, pair)| {
            let spread = (2.0 / pair[0] as f64).sqrt();
            Layer {
                inputs: pair[0],
                outputs: pair[1],
                weights: (0..pair[0] * pair[1]).map(|_| spread * rng.normal()).collect(),
                bias: (0..pair[1]).map(|_| 0.3 * rng.normal()).collect(),
                activation: if index + 1 == count { last } else { activation },
            }
        })
        .collect();
    Network { layers, output: Output::Linear }
}

/// Inputs with clips, scales and offsets that are all different.
fn inputs(count: usize) -> Vec<InputMap> {
    let map = |index: usize| match index % 3 {
        0 => InputMap { scale: 1.0, offset: 0.0, clip: [-1.0, 1.0] },
        1 => InputMap { scale: 0.5, offset: -1.0, clip: [1.0, 5.0] },
        _ => InputMap { scale: -2.0, offset: 0.25, clip: [0.0, 1.5] },
    };
    (0..count).map(map).collect()
}

fn middle(inputs: &[InputMap]) -> Vec<f64> {
    inputs.iter().map(|map| (map.clip[0] + map.clip[1]) / 2.0).collect()
}

fn options<'a>(
    precision: Precision,
    inputs: &'a [InputMap],
    reference: &'a [f64],
    calibration: &'a [Vec<f64>],
) -> QuantiseOptions<'a> {
    QuantiseOptions {
        name: "test",
        function: Function::Pacing,
        precision,
        schema_hash: 7,
        inputs,
        reference,
        calibration,
        rows: calibration,
    }
}

fn error_of(network: &Network, precision: Precision, calibration: &[Vec<f64>]) -> Errors {
    let inputs = inputs(network.inputs());
    let reference = middle(&inputs);
    let bytes = quantise(network, &options(precision, &inputs, &reference, calibration)).unwrap();
    let snapshot = Snapshot::decode(&bytes).unwrap();
    let rows = verify::rows(&inputs, 3, 600, 5);
    verify::quantisation_error(&snapshot, network, &inputs, &rows).unwrap()
}

#[test]
fn every_activation_at_both_precisions_inside_and_last() {
    let mut rng = Rng::new(1);
    for activation in ACTIVATIONS {
        for last in ACTIVATIONS {
            for widths in [&[12, 16, 8, 2][..], &[30, 32, 1], &[9, 3]] {
                let network = network(widths, activation, last, &mut rng);
                for (precision, share) in [(Precision::Bits8, 0.12), (Precision::Bits12, 0.01)] {
                    let errors = error_of(&network, precision, &[]);
                    assert!(
                        errors.mean < share * errors.output_deviation.max(0.02),
                        "{activation:?} {last:?} {widths:?} {precision:?}: {errors}"
                    );
                }
            }
        }
    }
}

#[test]
fn the_reference_row_is_hit_closer_than_weight_rounding_would_allow() {
    let mut rng = Rng::new(2);
    let network = network(&[30, 1], Activation::Identity, Activation::Identity, &mut rng);
    let inputs = inputs(30);
    let reference: Vec<f64> = inputs.iter().map(|map| map.clip[0]).collect();
    let bytes = quantise(&network, &options(Precision::Bits8, &inputs, &reference, &[])).unwrap();
    let row: Vec<i32> = reference.iter().map(|&x| (x * f64::from(ONE)) as i32).collect();
    let snapshot = Snapshot::decode(&bytes).unwrap();
    let errors = verify::quantisation_error(&snapshot, &network, &inputs, &[row]).unwrap();
    // One count of the accumulator: the largest weight times half a clip over 127, over 127.
    let largest = network.layers[0].weights.iter().fold(0.0_f64, |top, w| top.max(w.abs()));
    assert!(errors.max < largest * 2.0 / 127.0 / 127.0, "{errors}");
}

#[test]
fn steep_weights_before_a_curve_keep_their_meaning_in_eight_bits() {
    // One input alone drives the argument over +-20; the curve saturates at +-4.
    let network = Network {
        layers: vec![Layer {
            inputs: 1,
            outputs: 1,
            weights: vec![20.0],
            bias: vec![0.0],
            activation: Activation::Tanh,
        }],
        output: Output::Linear,
    };
    let errors = error_of(&network, Precision::Bits8, &[]);
    assert!(errors.mean < 0.01, "{errors}");
}

#[test]
fn calibration_makes_finer_steps_than_interval_bounds() {
    let mut rng = Rng::new(3);
    let network = network(&[30, 64, 64, 64, 1], Activation::Relu, Activation::Identity, &mut rng);
    let inputs = inputs(30);
    let rows = verify::rows(&inputs, 3, 2000, 99);
    let features: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().map(|&x| f64::from(x) / f64::from(ONE)).collect()).collect();
    let by_bounds = error_of(&network, Precision::Bits8, &[]);
    let by_rows = error_of(&network, Precision::Bits8, &features);
    assert!(by_rows.mean < by_bounds.mean / 2.0, "{by_rows} against {by_bounds}");
}

/// Errors on rows other than those that weights are rounded by.
#[test]
fn weights_that_are_rounded_together_lose_less() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx");
    let built = build(&ModelSpec::pacing("aurora", Path::new(file), Precision::Bits8)).unwrap();
    let (network, inputs) = (&built.network, &built.inputs);
    let reference = middle(inputs);
    let real = |row: &Vec<i32>| row.iter().map(|&x| f64::from(x) / f64::from(ONE)).collect();
    let rows: Vec<Vec<f64>> = verify::rows(inputs, 3, 1000, 7).iter().map(real).collect();
    let error = |rows: &[Vec<f64>]| {
        let options = QuantiseOptions { rows, ..options(Precision::Bits8, inputs, &reference, &[]) };
        let snapshot = Snapshot::decode(&quantise(network, &options).unwrap()).unwrap();
        verify::quantisation_error(&snapshot, network, inputs, &verify::rows(inputs, 3, 4000, 8))
            .unwrap()
            .mean
    };
    let (each_by_itself, together) = (error(&[]), error(&rows));
    assert!(together < 0.75 * each_by_itself, "{together} against {each_by_itself}");
}

#[test]
fn softmax_and_arg_max_agree_with_float() {
    let mut rng = Rng::new(4);
    let mut network = network(&[12, 16, 4], Activation::Tanh, Activation::Identity, &mut rng);
    network.output = Output::Softmax;
    assert!(error_of(&network, Precision::Bits12, &[]).max < 0.01);
    network.output = Output::ArgMax;
    // An index is off only where two values are nearly equal.
    assert!(error_of(&network, Precision::Bits12, &[]).mean < 0.02);
}

#[test]
fn dead_channels_and_huge_biases_survive() {
    let layer = |weights: Vec<f64>, bias: Vec<f64>, activation| Layer {
        inputs: 3,
        outputs: weights.len() / 3,
        weights,
        bias,
        activation,
    };
    let mut first = vec![0.0; 9];
    first[3] = 1e-9;
    first[6] = 1.0;
    for activation in ACTIVATIONS {
        let network = Network {
            layers: vec![
                layer(first.clone(), vec![0.0, 1000.0, -1000.0], activation),
                layer(vec![1.0, 1e-3, 1e-3], vec![0.5], Activation::Identity),
            ],
            output: Output::Linear,
        };
        let errors = error_of(&network, Precision::Bits12, &[]);
        assert!(errors.max < 0.01, "{activation:?}: {errors}");
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let mut rng = Rng::new(6);
    let network = network(&[3, 1], Activation::Tanh, Activation::Identity, &mut rng);
    let good = inputs(3);
    let reference = middle(&good);
    let refusal = |inputs: &[InputMap], reference: &[f64], rows: &[Vec<f64>]| {
        quantise(&network, &options(Precision::Bits8, inputs, reference, rows)).unwrap_err().to_string()
    };
    assert_eq!(refusal(&good[..2], &reference, &[]), "2 inputs for a network of 3 inputs");
    assert_eq!(refusal(&good, &[0.0], &[]), "1 reference values for a network of 3 inputs");
    assert!(refusal(&good, &reference, &[vec![0.0; 4]]).starts_with("4 values in a calibration row"));
    for clip in [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, 1e6]] {
        let mut bad = good.clone();
        bad[1].clip = clip;
        assert!(refusal(&bad, &reference, &[]).starts_with("input 1: clip"));
    }
    let mut unnamed = options(Precision::Bits8, &good, &reference, &[]);
    unnamed.name = "";
    assert!(
        quantise(&network, &unnamed).unwrap_err().to_string().starts_with("the snapshot would be invalid")
    );
}

#[test]
fn an_input_says_which_feature_it_came_from() {
    let map = InputMap { scale: -2.0, offset: 1.0, clip: [-0.5, 3.0] };
    for (feature, back) in [(0.25, 0.25), (3.0, 3.0), (9.0, 3.0), (-4.0, -0.5)] {
        assert_eq!(map.unapply(map.apply(feature)), back);
    }
    assert_eq!(InputMap { scale: 0.0, ..map }.unapply(1.0), 1.25, "one that tells nothing apart");
}
