//! Time per inference: executor x precision x burst size, on a pacing network of Aurora's shape, 30-32-16-1 with tanh.
//! Rows change from burst to burst; gathering them and every requantisation are included, quantising features is not
//! (it has a row of its own, because a worker renews only what changed).
//!
//! `cargo bench -p weir-snapshot` prints the time of a whole burst, and inferences per second as throughput.

use criterion::{BenchmarkId, Criterion, Throughput};
use std::error::Error;
use std::hint::black_box;
use std::time::Duration;
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Scratch, Snapshot, encode,
};

/// Rows that are run in turn: 15 kB, which stay in the first-level cache as a worker's fresh rows do.
const ROWS: usize = 256;
const WIDTHS: [usize; 4] = [30, 32, 16, 1];

/// Numbers without a pattern.
fn noise(seed: &mut u32) -> i32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*seed >> 8) as i32
}

fn executable(precision: Precision, executor: Executor) -> Result<Executable, Box<dyn Error>> {
    let seed = &mut 1;
    let weight_max = i32::from(precision.weight_max());
    let shift = match precision {
        Precision::Bits8 => 3,
        Precision::Bits12 => 11,
    };
    let layers = WIDTHS.windows(2).enumerate().map(|(at, widths)| {
        let (inputs, outputs) = (widths[0], widths[1]);
        let last = at + 2 == WIDTHS.len();
        LayerParts {
            inputs,
            outputs,
            weights: (0..inputs * outputs)
                .map(|_| (noise(seed) % (2 * weight_max + 1) - weight_max) as i16)
                .collect(),
            bias: (0..outputs).map(|_| noise(seed) % 1000).collect(),
            multiplier: vec![if last { 0 } else { 20_000 }; outputs],
            shift: vec![if last { 0 } else { shift }; outputs],
            activation: if last { Activation::Identity } else { Activation::Tanh },
        }
    });
    let parts = Parts {
        function: Function::Pacing,
        precision,
        schema_hash: 0,
        name: "bench".into(),
        inputs: vec![
            InputParts {
                multiplier: 1 << 20,
                shift: 31,
                offset: 0,
                clip_lo: -262_144,
                clip_hi: 262_144
            };
            WIDTHS[0]
        ],
        layers: layers.collect(),
        output: Output::Linear,
        outputs: vec![OutputParts { multiplier: 1 << 20, shift: 18, offset: 0, lo: i32::MIN, hi: i32::MAX }],
    };
    Ok(Executable::new(Snapshot::decode(&encode(&parts)?)?, executor)?)
}

fn inference(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let mut group = criterion.benchmark_group("inference");
    for executor in Executor::available() {
        for precision in Precision::ALL {
            let exe = executable(precision, executor)?;
            let (lo, hi) = precision.value_range();
            let seed = &mut 7;
            let rows: Vec<i16> = (0..ROWS * WIDTHS[0])
                .map(|_| (noise(seed) % (i32::from(hi) - i32::from(lo) + 1) + i32::from(lo)) as i16)
                .collect();
            let mut scratch = Scratch::new();
            for burst in [1, 8, 32, 64] {
                let mut out = [0; 64];
                let mut bursts = rows.chunks_exact(burst * WIDTHS[0]).cycle();
                group.throughput(Throughput::Elements(burst as u64));
                let id = BenchmarkId::new(format!("{}/{}", executor.name(), precision.name()), burst);
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        if let Some(rows) = bursts.next() {
                            exe.run(black_box(rows), burst, &mut out[..burst], &mut scratch);
                        }
                        black_box(&out);
                    });
                });
            }
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("quantise_row");
    let features: Vec<i32> = (0..WIDTHS[0]).map(|at| at as i32 * 9_999 - 150_000).collect();
    for executor in Executor::available() {
        let exe = executable(Precision::Bits8, executor)?;
        let mut row = [0; WIDTHS[0]];
        group.bench_function(executor.name(), |bencher| {
            bencher.iter(|| {
                exe.quantise_row(black_box(&features), &mut row);
                black_box(&row);
            });
        });
    }
    group.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .configure_from_args();
    inference(&mut criterion)?;
    criterion.final_summary();
    Ok(())
}
