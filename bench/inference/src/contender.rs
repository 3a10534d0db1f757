//! Everything that is measured, behind one trait.

use crate::pool::{PASS, Pool, index};
use crate::{float, kernel, liteflow};
use anyhow::Result;
use serde::Serialize;
use std::hint::black_box;
use weir_snapshot::{Executable, Executor, Precision, Scratch};
use weir_trainer::ort_engine::{Bound, Engine};

/// Rows per call, of Weir's executors.
const BURSTS: [usize; 4] = [1, 8, 32, 64];
/// Rows per call, of ONNX Runtime.
const ORT_BATCHES: [usize; 2] = [1, 32];

/// Where an inference starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    /// At the network's quantised (or float) inputs, one row after the other in memory: gathering them is included.
    Row,
    /// At features in Q16, which are quantised first.
    Features,
}

/// Who a contender is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Label {
    pub name: String,
    pub numbers: &'static str,
    pub rows: usize,
    pub start: Start,
}

/// One thing to measure.
pub(crate) struct Contender {
    pub label: Label,
    /// How far it may be from the float network: the mean error, in deviations of the output.
    pub error_max: f64,
    pub run: Box<dyn Run>,
}

/// The way to run it.
pub(crate) trait Run {
    /// Takes the pass of the pool that begins at row `first`.
    fn load(&mut self, pool: &Pool, first: usize);
    /// Infers all rows that were taken, in calls of `rows`. This is what is timed.
    ///
    /// # Errors
    /// ONNX Runtime's.
    fn pass(&mut self) -> Result<()>;
    /// The results of the last pass.
    fn results(&self) -> Vec<f64>;
}

/// A pass of a pool's array.
fn take<T: Copy>(into: &mut Vec<T>, all: &[T], width: usize, first: usize) {
    into.clear();
    into.extend_from_slice(&all[first * width..][..PASS * width]);
}

fn from_q16(results: &[impl Copy + Into<i64>]) -> Vec<f64> {
    results.iter().map(|&y| y.into() as f64 / 65_536.0).collect()
}

/// Weir's executors that this machine has, and for the others why not.
///
/// # Errors
/// None that the list of executors does not rule out.
pub(crate) fn executors(pool: &Pool) -> Result<(Vec<Contender>, Vec<String>)> {
    let (mut contenders, mut missing) = (Vec::new(), Vec::new());
    for executor in Executor::ALL {
        if let Err(why) = executor.check() {
            missing.push(format!("{why}: no figures of it; run on another machine"));
            continue;
        }
        for precision in Precision::ALL {
            let executable = Executable::new(pool.snapshots[index(precision)].clone(), executor)?;
            for (rows, start) in BURSTS
                .map(|rows| (rows, Start::Row))
                .into_iter()
                .chain([(1, Start::Features), (32, Start::Features)])
            {
                contenders.push(Contender {
                    label: Label { name: executor.name().into(), numbers: precision.name(), rows, start },
                    error_max: error_max(precision),
                    run: Box::new(Weir {
                        executable: executable.clone(),
                        scratch: Scratch::new(),
                        burst: rows,
                        start,
                        rows: Vec::new(),
                        features: Vec::new(),
                        out: vec![0; PASS],
                    }),
                });
            }
        }
    }
    Ok((contenders, missing))
}

/// How far Weir's integers may be from the float network.
fn error_max(precision: Precision) -> f64 {
    match precision {
        Precision::Bits8 => 0.03,
        Precision::Bits12 => 0.003,
    }
}

struct Weir {
    executable: Executable,
    scratch: Scratch,
    burst: usize,
    start: Start,
    rows: Vec<i16>,
    features: Vec<i32>,
    out: Vec<i32>,
}

impl Run for Weir {
    fn load(&mut self, pool: &Pool, first: usize) {
        take(&mut self.rows, &pool.rows[index(self.executable.snapshot().precision())], pool.width(), first);
        take(&mut self.features, &pool.features, pool.width(), first);
    }

    fn pass(&mut self) -> Result<()> {
        let width = self.executable.row_len();
        let items = self.burst * width;
        let bursts = self.rows.chunks_exact_mut(items).zip(self.features.chunks_exact(items));
        for ((rows, features), out) in bursts.zip(self.out.chunks_exact_mut(self.burst)) {
            if self.start == Start::Features {
                for (features, row) in features.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
                    self.executable.quantise_row(features, row);
                }
            }
            self.executable.run(rows, self.burst, out, &mut self.scratch);
            black_box(out);
        }
        Ok(())
    }

    fn results(&self) -> Vec<f64> {
        from_q16(&self.out)
    }
}

/// The generated C, one contender per set of flags and start.
pub(crate) fn generated(compiled: &[liteflow::Compiled]) -> Vec<Contender> {
    let of = |compiled: &liteflow::Compiled, start| Contender {
        label: Label { name: compiled.name.clone(), numbers: "int8", rows: 1, start },
        error_max: 0.5,
        run: Box::new(Generated {
            entry: match start {
                Start::Row => compiled.from_row.clone(),
                Start::Features => compiled.from_features.clone(),
            },
            start,
            width: 0,
            input: Vec::new(),
            out: vec![0; PASS],
        }),
    };
    compiled
        .iter()
        .flat_map(|compiled| [Start::Row, Start::Features].map(|start| of(compiled, start)))
        .collect()
}

struct Generated {
    entry: liteflow::Entry,
    start: Start,
    width: usize,
    input: Vec<i64>,
    out: Vec<i64>,
}

impl Run for Generated {
    fn load(&mut self, pool: &Pool, first: usize) {
        self.width = pool.width();
        let all = match self.start {
            Start::Row => &pool.rows_wide,
            Start::Features => &pool.features_wide,
        };
        take(&mut self.input, all, self.width, first);
    }

    fn pass(&mut self) -> Result<()> {
        for (row, out) in self.input.chunks_exact(self.width).zip(self.out.chunks_exact_mut(1)) {
            self.entry.call(row, out);
            black_box(out);
        }
        Ok(())
    }

    fn results(&self) -> Vec<f64> {
        from_q16(&self.out)
    }
}

/// Weir's C for the kernel, from rows and from features.
pub(crate) fn kernel(compiled: &kernel::Compiled, compiler: &str, precision: Precision) -> Vec<Contender> {
    [Start::Row, Start::Features]
        .map(|start| Contender {
            label: Label {
                name: format!("kernel C, {compiler} {}", kernel::FLAGS),
                numbers: precision.name(),
                rows: 1,
                start,
            },
            error_max: error_max(precision),
            run: Box::new(KernelC {
                compiled: compiled.clone(),
                precision,
                start,
                width: 0,
                rows: Vec::new(),
                features: Vec::new(),
                out: vec![0; PASS],
            }),
        })
        .into()
}

struct KernelC {
    compiled: kernel::Compiled,
    precision: Precision,
    start: Start,
    width: usize,
    rows: Vec<i16>,
    features: Vec<i32>,
    out: Vec<i32>,
}

impl Run for KernelC {
    fn load(&mut self, pool: &Pool, first: usize) {
        self.width = pool.width();
        take(&mut self.rows, &pool.rows[index(self.precision)], self.width, first);
        take(&mut self.features, &pool.features, self.width, first);
    }

    fn pass(&mut self) -> Result<()> {
        let out = self.out.chunks_exact_mut(1);
        match self.start {
            Start::Row => {
                for (row, out) in self.rows.chunks_exact(self.width).zip(out) {
                    self.compiled.infer_row(row, out);
                    black_box(out);
                }
            }
            Start::Features => {
                for (features, out) in self.features.chunks_exact(self.width).zip(out) {
                    self.compiled.infer_features(features, out);
                    black_box(out);
                }
            }
        }
        Ok(())
    }

    fn results(&self) -> Vec<f64> {
        from_q16(&self.out)
    }
}

/// Plain Rust in f32.
pub(crate) fn naive(pool: &Pool) -> Contender {
    Contender {
        label: Label { name: "naive".into(), numbers: "f32", rows: 1, start: Start::Row },
        error_max: 1e-4,
        run: Box::new(Naive {
            network: float::Network::new(&pool.network),
            input: Vec::new(),
            out: vec![0.0; PASS],
        }),
    }
}

struct Naive {
    network: float::Network,
    input: Vec<f32>,
    out: Vec<f32>,
}

impl Run for Naive {
    fn load(&mut self, pool: &Pool, first: usize) {
        take(&mut self.input, &pool.floats, pool.width(), first);
    }

    fn pass(&mut self) -> Result<()> {
        for (row, out) in self.input.chunks_exact(self.network.inputs()).zip(&mut self.out) {
            *out = self.network.evaluate(row);
            black_box(out);
        }
        Ok(())
    }

    fn results(&self) -> Vec<f64> {
        self.out.iter().map(|&y| y.into()).collect()
    }
}

/// ONNX Runtime alone and in batches, one thread, tensors bound once.
///
/// # Errors
/// ONNX Runtime refuses the model.
pub(crate) fn onnx_runtime(engine: &Engine, pool: &Pool) -> Result<Vec<Contender>> {
    let of = |rows| -> Result<Contender> {
        Ok(Contender {
            label: Label {
                name: format!("ONNX Runtime {}", engine.version()),
                numbers: "f32",
                rows,
                start: Start::Row,
            },
            error_max: 1e-4,
            run: Box::new(OnnxRuntime {
                session: engine.bind(&pool.onnx, rows)?,
                items: rows * pool.width(),
                input: Vec::new(),
                out: Vec::new(),
            }),
        })
    };
    ORT_BATCHES.into_iter().map(of).collect()
}

struct OnnxRuntime {
    session: Bound,
    items: usize,
    input: Vec<f32>,
    out: Vec<f32>,
}

impl Run for OnnxRuntime {
    fn load(&mut self, pool: &Pool, first: usize) {
        take(&mut self.input, &pool.floats, pool.width(), first);
    }

    fn pass(&mut self) -> Result<()> {
        self.out.clear();
        for rows in self.input.chunks_exact(self.items) {
            self.session.run(rows, |results| self.out.extend_from_slice(results))?;
        }
        black_box(&mut self.out);
        Ok(())
    }

    fn results(&self) -> Vec<f64> {
        self.out.iter().map(|&y| y.into()).collect()
    }
}
