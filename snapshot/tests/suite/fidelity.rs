//! How far integers are from the float network that they stand for.

use crate::executors::executable;
use crate::float::{CLIP, Network};
use crate::models::Rng;
use weir_snapshot::{Executor, Precision, Scratch};

const SAMPLES: usize = 4096;

/// Mean and 99th percentile of |integer - float| in standard deviations of the float output, over normal inputs.
fn error(network: &Network, precision: Precision, seed: u64) -> (f64, f64) {
    let exe = executable(&network.quantise(precision), Executor::best());
    let (rng, scratch) = (&mut Rng(seed), &mut Scratch::new());
    let mut floats = Vec::new();
    let mut errors = Vec::new();
    for _ in 0..SAMPLES {
        let inputs: Vec<f64> = (0..exe.row_len()).map(|_| rng.normal().clamp(-CLIP, CLIP)).collect();
        let features: Vec<i32> = inputs.iter().map(|input| (input * 65_536.0).round() as i32).collect();
        let mut out = [0];
        exe.evaluate(&features, &mut out, scratch);
        let float = network.run(&inputs);
        floats.push(float);
        errors.push((f64::from(out[0]) / 65_536.0 - float).abs());
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let centre = mean(&floats);
    let deviation = mean(&floats.iter().map(|float| (float - centre).powi(2)).collect::<Vec<_>>()).sqrt();
    errors.sort_by(f64::total_cmp);
    (mean(&errors) / deviation, errors[SAMPLES * 99 / 100] / deviation)
}

/// Aurora's shape, 30-32-16-1 with tanh, at weights as initialised and at twice that, which saturate as trained ones do.
#[test]
fn aurora_shape_stays_within_its_bounds() {
    for (precision, bound) in [(Precision::Bits8, 0.016), (Precision::Bits12, 0.001_5)] {
        for gain in [1.0, 2.0] {
            let mut means = Vec::new();
            for seed in 0..6 {
                let network = Network::random(&[30, 32, 16, 1], gain, &mut Rng(seed));
                let (mean, p99) = error(&network, precision, seed ^ 0xF00D);
                println!(
                    "{} gain {gain} seed {seed}: mean {:.3} %, p99 {:.3} %",
                    precision.name(),
                    100.0 * mean,
                    100.0 * p99
                );
                means.push(mean);
            }
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            assert!(mean <= bound, "{}: gain {gain}: mean {mean} of the deviation", precision.name());
        }
    }
}
