//! What every executor must do, and each executor doing it.

use crate::models::{Rng, Shape, shapes};
use crate::reference;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use weir_snapshot::{
    Executable, Executor, Output, Precision, Reason, Scratch, Snapshot, Unavailable, encode,
};

/// Whether `executor` can run here; says so where it cannot. `WEIR_REQUIRE_ALL` demands what can be installed, and no processor
/// can: `make test` tells at its end what this one lacks.
pub(crate) fn runs_here(executor: Executor) -> bool {
    let Err(why) = executor.check() else { return true };
    eprintln!("SKIPPED: {why}");
    false
}

pub(crate) fn executable(parts: &weir_snapshot::Parts, executor: Executor) -> Executable {
    let bytes = encode(parts).expect("valid parts");
    Executable::new(Snapshot::decode(&bytes).expect("decodes"), executor).expect("available")
}

/// 200 shapes of one precision, 500 rows each, in bursts of mixed sizes, against the reference.
fn agrees_with_the_reference(executor: Executor, precision: Precision) {
    const ROWS: usize = 500;
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let scratch = std::cell::RefCell::new(Scratch::new());
    let outcome = runner.run(&shapes(), |shape| {
        let shape = Shape { precision, ..shape };
        let parts = shape.parts();
        let exe = executable(&parts, executor);
        let rng = &mut Rng(!shape.seed);
        let rows = shape.rows(ROWS, rng);
        let mut found = vec![0; ROWS * exe.outputs()];
        let mut done = 0;
        while done < ROWS {
            let n = (rng.between(1, 70) as usize).min(ROWS - done);
            let out = &mut found[done * exe.outputs()..][..n * exe.outputs()];
            exe.run(&rows[done * exe.row_len()..][..n * exe.row_len()], n, out, &mut scratch.borrow_mut());
            done += n;
        }
        for (at, row) in rows.chunks(exe.row_len()).enumerate() {
            let expected = reference::run(&parts, row);
            prop_assert_eq!(&found[at * exe.outputs()..][..exe.outputs()], expected, "row {}", at);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{}: {error}", executor.name()));
}

/// Features at and around every bound of their inputs.
fn quantises_like_the_reference(executor: Executor) {
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&shapes(), |shape| {
        let parts = shape.parts();
        let exe = executable(&parts, executor);
        let rng = &mut Rng(shape.seed ^ 1);
        let mut row = vec![0; exe.row_len()];
        for _ in 0..20 {
            let features: Vec<i32> = parts
                .inputs
                .iter()
                .map(|input| match rng.next() % 6 {
                    0 => input.clip_lo.saturating_sub(rng.between(0, 1) as i32),
                    1 => input.clip_hi.saturating_add(rng.between(0, 1) as i32),
                    2 => input.offset.saturating_add(rng.between(-2, 2) as i32),
                    3 => [i32::MIN, i32::MAX][rng.next() as usize % 2],
                    _ => rng.between(-6 * 65_536, 6 * 65_536) as i32,
                })
                .collect();
            exe.quantise_row(&features, &mut row);
            prop_assert_eq!(&row, &reference::quantise(&parts, &features));
            let single: Vec<i16> = (0..row.len()).map(|at| exe.quantise_input(at, features[at])).collect();
            prop_assert_eq!(&row, &single);
            let mut out = vec![0; exe.outputs()];
            exe.evaluate(&features, &mut out, &mut Scratch::new());
            prop_assert_eq!(out, reference::run(&parts, &row));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{}: {error}", executor.name()));
}

/// The result of a row depends on neither its place in a burst nor its neighbours, for every burst size up to 70 and
/// for widths around each power of two, in networks wider than a register of words and in narrow ones.
fn a_burst_is_its_rows(executor: Executor) {
    for precision in Precision::ALL {
        let widths = [1, 2, 3, 4, 5, 15, 16, 17, 31, 32, 33, 64, 65, 255, 256];
        let wide = widths.map(|width| vec![width, 257 - width, 5]);
        let narrow = widths[..10].iter().map(|&width| vec![width, 33 - width, 32, width]);
        for (at, widths) in wide.into_iter().chain(narrow).enumerate() {
            let output = [Output::Linear, Output::Softmax, Output::ArgMax][at % 3];
            let (width, shape) = (widths[0], Shape { precision, output, widths, seed: at as u64 });
            let exe = executable(&shape.parts(), executor);
            let scratch = &mut Scratch::new();
            let rows = shape.rows(70, &mut Rng(9));
            let mut singles = vec![0; 70 * exe.outputs()];
            for (row, out) in rows.chunks(width).zip(singles.chunks_mut(exe.outputs())) {
                exe.run(row, 1, out, scratch);
            }
            for n in 0..=70 {
                let mut out = vec![0; n * exe.outputs()];
                exe.run(&rows[..n * width], n, &mut out, scratch);
                assert_eq!(out, singles[..n * exe.outputs()], "width {width}, {n} rows");
            }
        }
    }
}

/// Slices of a wrong length are refused before anything is written.
fn wrong_lengths_panic(executor: Executor) {
    let shape = Shape { precision: Precision::Bits8, output: Output::Linear, widths: vec![3, 2], seed: 1 };
    let exe = executable(&shape.parts(), executor);
    let refused = |rows: usize, n: usize, out: usize| {
        let mut results = vec![7; out];
        let run = AssertUnwindSafe(|| exe.run(&vec![0; rows], n, &mut results, &mut Scratch::new()));
        catch_unwind(run).is_err() && results.iter().all(|&result| result == 7)
    };
    assert!(refused(5, 2, 4) && refused(6, 2, 3) && refused(6, 2, 5) && refused(9, 2, 4));
    assert!(!refused(6, 2, 4));
}

macro_rules! suite {
    ($($name:ident: $executor:expr),+ $(,)?) => {$(
        mod $name {
            use super::*;

            #[test]
            fn agrees_with_the_reference_8bit() {
                if runs_here($executor) { super::agrees_with_the_reference($executor, Precision::Bits8) }
            }
            #[test]
            fn agrees_with_the_reference_12bit() {
                if runs_here($executor) { super::agrees_with_the_reference($executor, Precision::Bits12) }
            }
            #[test]
            fn quantises_like_the_reference() {
                if runs_here($executor) { super::quantises_like_the_reference($executor) }
            }
            #[test]
            fn a_burst_is_its_rows() {
                if runs_here($executor) { super::a_burst_is_its_rows($executor) }
            }
            #[test]
            fn wrong_lengths_panic() {
                if runs_here($executor) { super::wrong_lengths_panic($executor) }
            }
            #[test]
            fn gives_the_golden_results() {
                if runs_here($executor) { crate::golden::gives_the_golden_results($executor) }
            }
        }
    )+};
}

suite! {
    scalar: Executor::Scalar,
    avx2: Executor::Avx2,
    avx512_vnni: Executor::Avx512Vnni,
}

#[test]
fn the_suite_names_every_executor() {
    assert_eq!(Executor::ALL, [Executor::Scalar, Executor::Avx2, Executor::Avx512Vnni]);
    assert!(Executor::available().any(|executor| executor == Executor::best()));
}

/// An executor that is not available says why, and cannot be had; one that is can.
#[test]
fn an_executor_is_there_or_says_why_not() {
    let shape = Shape { precision: Precision::Bits8, output: Output::Linear, widths: vec![3, 2], seed: 1 };
    let snapshot = Snapshot::decode(&encode(&shape.parts()).expect("valid parts")).expect("decodes");
    for executor in Executor::ALL {
        let made = Executable::new(snapshot.clone(), executor);
        assert_eq!(made.map(|exe| exe.executor()), executor.check().map(|()| executor));
    }
    let why = Unavailable { executor: Executor::Avx2, reason: Reason::Processor("AVX2") };
    assert_eq!(why.to_string(), "executor avx2 cannot run here: the processor lacks AVX2");
}
