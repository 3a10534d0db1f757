//! Golden vectors: for each model `golden/NAME.snapshot`, the file itself, and `golden/NAME.txt`, one decision a line as
//! `features (Q16) | row | results (Q16)`. They pin the format and the arithmetic, and every executor outside of this
//! crate (the kernel's C, BPF) is held to them too, by `cases.rs`.
//!
//! `WEIR_BLESS=1 cargo test -p weir-snapshot` writes them anew, from the scalar executor; the diff is the review.

use crate::executors::executable;
use crate::models::{Rng, Shape};
use crate::reference;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Once;
use weir_snapshot::{
    Activation, Executable, Executor, Function, InputParts, LayerParts, Output, OutputParts, Parts,
    Precision, Scratch, Snapshot, encode,
};

const DECISIONS: usize = 24;

/// The network of the worked example in `docs/snapshot-format.md`: small enough to follow by hand.
fn worked() -> Parts {
    let input =
        |clip: i32| InputParts { multiplier: 1 << 20, shift: 31, offset: 0, clip_lo: -clip, clip_hi: clip };
    Parts {
        function: Function::Pacing,
        precision: Precision::Bits8,
        schema_hash: 0x0123_4567_89AB_CDEF,
        name: "worked".into(),
        inputs: vec![input(4 * 65_536), InputParts { offset: 65_536, ..input(5 * 65_536) }],
        layers: vec![
            LayerParts {
                inputs: 2,
                outputs: 2,
                weights: vec![100, -50, -127, 64],
                bias: vec![300, -1000],
                multiplier: vec![24_576, 16_384],
                shift: vec![1, 0],
                activation: Activation::Tanh,
            },
            LayerParts {
                inputs: 2,
                outputs: 1,
                weights: vec![90, 127],
                bias: vec![-250],
                multiplier: vec![0],
                shift: vec![0],
                activation: Activation::Identity,
            },
        ],
        output: Output::Linear,
        outputs: vec![OutputParts {
            multiplier: 1_200_000_000,
            shift: 28,
            offset: 6_554,
            lo: -131_072,
            hi: 131_072,
        }],
    }
}

/// A network whose values are of a sensible size, so that no stage saturates all the time. The activations are those of
/// the layers, in turn.
fn sensible(name: &str, precision: Precision, widths: &[usize], activations: &[Activation]) -> Parts {
    let rng = &mut Rng(widths.iter().map(|&width| width as u64).sum());
    let weight_max = i64::from(precision.weight_max());
    let (bias_max, shift) = match precision {
        Precision::Bits8 => (1 << 11, 3),
        Precision::Bits12 => (1 << 19, 11),
    };
    let layers =
        widths.windows(2).zip(activations.iter().cycle()).enumerate().map(|(at, (widths, &activation))| {
            let (inputs, outputs) = (widths[0], widths[1]);
            let raw = at == activations.len() - 1 && activation == Activation::Identity;
            LayerParts {
                inputs,
                outputs,
                weights: (0..inputs * outputs).map(|_| rng.between(-weight_max, weight_max) as i16).collect(),
                bias: (0..outputs).map(|_| rng.between(-bias_max, bias_max) as i32).collect(),
                multiplier: (0..outputs)
                    .map(|_| if raw { 0 } else { rng.between(16_384, 32_767) as i16 })
                    .collect(),
                shift: vec![if raw { 0 } else { shift }; outputs],
                activation,
            }
        });
    let layers: Vec<LayerParts> = layers.collect();
    let raw = activations.last() == Some(&Activation::Identity);
    let output = OutputParts {
        multiplier: 1 << 30,
        shift: match (raw, precision) {
            (false, _) => 30,
            (true, Precision::Bits8) => 28,
            (true, Precision::Bits12) => 36,
        },
        offset: 0,
        lo: -8 * 65_536,
        hi: 8 * 65_536,
    };
    let shift = match precision {
        Precision::Bits8 => 31,
        Precision::Bits12 => 27,
    };
    Parts {
        function: Function::Pacing,
        precision,
        schema_hash: rng.next(),
        name: name.into(),
        inputs: vec![
            InputParts { multiplier: 1 << 20, shift, offset: 0, clip_lo: -262_144, clip_hi: 262_144 };
            widths[0]
        ],
        layers,
        output: Output::Linear,
        outputs: vec![output; widths[widths.len() - 1]],
    }
}

/// Every precision, function, activation (hidden and last) and last stage comes up at least once.
fn models() -> Vec<Parts> {
    let relu = Activation::Relu { zero: -128 };
    let mixed = [
        Activation::LeakyRelu { zero: -300, slope: 3_277 },
        Activation::Clip { lo: -1500, hi: 1700 },
        Activation::HardSigmoid { lo: 0, hi: 2047 },
        Activation::Sigmoid,
        Activation::Identity,
        Activation::Relu { zero: 0 },
        Activation::Tanh,
        Activation::Sigmoid,
    ];
    let pacing = [Activation::Tanh, Activation::Tanh, Activation::Identity];
    let random = |name: &str, precision, output, widths: &[usize], seed| Parts {
        name: name.into(),
        ..Shape { precision, output, widths: widths.to_vec(), seed }.parts()
    };
    vec![
        worked(),
        sensible("pacing-8bit", Precision::Bits8, &[30, 32, 16, 1], &pacing),
        sensible("pacing-12bit", Precision::Bits12, &[30, 32, 16, 1], &pacing),
        Parts {
            function: Function::Balance,
            ..sensible("balance-8bit", Precision::Bits8, &[11, 16, 8, 1], &[relu, relu, Activation::Identity])
        },
        Parts {
            function: Function::Schedule,
            output: Output::ArgMax,
            ..sensible(
                "schedule-8bit",
                Precision::Bits8,
                &[9, 20, 8],
                &[Activation::Sigmoid, Activation::Tanh],
            )
        },
        Parts {
            output: Output::Softmax,
            ..sensible("mixed-12bit", Precision::Bits12, &[7, 19, 33, 18, 17, 16, 15, 5, 6], &mixed)
        },
        sensible(
            "wide-8bit",
            Precision::Bits8,
            &[65, 33, 17, 3],
            &[Activation::LeakyRelu { zero: -40, slope: 6_554 }, Activation::Sigmoid, Activation::Tanh],
        ),
        random("random-8bit", Precision::Bits8, Output::Linear, &[65, 33, 17, 3], 1),
        random("random-12bit", Precision::Bits12, Output::Linear, &[37, 61, 5], 3),
    ]
}

fn path(name: &str, extension: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.{extension}"))
}

fn numbers<T: std::fmt::Display>(numbers: &[T]) -> String {
    numbers.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

/// One decision: features in Q16, the row they quantise to, results in Q16.
struct Decision {
    features: Vec<i32>,
    row: Vec<i16>,
    results: Vec<i32>,
}

impl Decision {
    fn read(line: &str) -> Decision {
        let mut fields = line.split('|');
        let mut field = || fields.next().expect("three fields").split_whitespace();
        Decision {
            features: field().map(|item| item.parse().expect("an i32")).collect(),
            row: field().map(|item| item.parse().expect("an i16")).collect(),
            results: field().map(|item| item.parse().expect("an i32")).collect(),
        }
    }
}

/// Writes all files when asked to, once per process.
fn bless() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("WEIR_BLESS").is_none() {
            return;
        }
        for parts in models() {
            let exe = executable(&parts, Executor::Scalar);
            let rng = &mut Rng(parts.schema_hash);
            let mut text = format!("# {}: features (Q16) | row | results (Q16)\n", parts.name);
            for at in 0..DECISIONS {
                // The first within the clips, then wider.
                let span = if at < DECISIONS * 3 / 4 { 3 * 65_536 } else { 8 * 65_536 };
                let features: Vec<i32> =
                    parts.inputs.iter().map(|_| rng.between(-span, span) as i32).collect();
                let (mut row, mut results) = (vec![0; exe.row_len()], vec![0; exe.outputs()]);
                exe.quantise_row(&features, &mut row);
                exe.run(&row, 1, &mut results, &mut Scratch::new());
                writeln!(text, "{} | {} | {}", numbers(&features), numbers(&row), numbers(&results))
                    .expect("a String");
            }
            std::fs::write(path(&parts.name, "snapshot"), encode(&parts).expect("valid"))
                .expect("write the snapshot");
            std::fs::write(path(&parts.name, "txt"), text).expect("write the vectors");
        }
    });
}

/// Part of the suite of executors.
pub(crate) fn gives_the_golden_results(executor: Executor) {
    bless();
    for parts in models() {
        let name = &parts.name;
        let bytes = std::fs::read(path(name, "snapshot")).expect("a golden snapshot");
        assert_eq!(bytes, encode(&parts).expect("valid"), "{name}: the format changed");
        let exe = Executable::new(Snapshot::decode(&bytes).expect("decodes"), executor).expect("available");
        let text = std::fs::read_to_string(path(name, "txt")).expect("golden vectors");
        let decisions: Vec<Decision> =
            text.lines().filter(|line| !line.starts_with('#')).map(Decision::read).collect();
        assert_eq!(decisions.len(), DECISIONS, "{name}");
        let scratch = &mut Scratch::new();
        for decision in &decisions {
            let mut row = vec![0; exe.row_len()];
            exe.quantise_row(&decision.features, &mut row);
            assert_eq!(row, decision.row, "{name}");
        }
        let rows: Vec<i16> = decisions.iter().flat_map(|decision| decision.row.clone()).collect();
        let expected: Vec<i32> = decisions.iter().flat_map(|decision| decision.results.clone()).collect();
        let mut results = vec![0; expected.len()];
        exe.run(&rows, DECISIONS, &mut results, scratch);
        assert_eq!(results, expected, "{name}");
    }
}

#[test]
fn golden_results_are_the_references() {
    bless();
    for parts in models() {
        let text = std::fs::read_to_string(path(&parts.name, "txt")).expect("golden vectors");
        let mut differing = 0;
        let mut last = Vec::new();
        for decision in text.lines().filter(|line| !line.starts_with('#')).map(Decision::read) {
            assert_eq!(decision.row, reference::quantise(&parts, &decision.features), "{}", parts.name);
            assert_eq!(decision.results, reference::run(&parts, &decision.row), "{}", parts.name);
            differing += usize::from(decision.results != last);
            last = decision.results;
        }
        // A vector that says the same for every input would prove little.
        assert!(differing > DECISIONS / 3, "{}: results change {differing} times", parts.name);
    }
}
