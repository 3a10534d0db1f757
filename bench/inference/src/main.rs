//! Time per inference on the shipped network (30-32-16-1): Weir's executors beside the same network as LiteFlow-shaped
//! generated C, as Weir's own C for the kernel, as plain f32 code and in ONNX Runtime.
//!
//! A program of its own and not a criterion bench, because criterion measures one thing after the other and judges each
//! alone. Here all contenders take turns in every round on one pinned core, on fresh rows, and a ratio is the median of
//! the rounds' own ratios: what slows the machine for a while slows both sides. A competitor that is missing gives no
//! ratio, and the report says how to get it. Nothing is timed that has not first been checked to compute the network.

mod contender;
mod figure;
mod float;
mod kernel;
mod liteflow;
mod machine;
mod measure;
mod pool;
mod report;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use contender::Contender;
use machine::{Machine, Usage};
use measure::Spread;
use pool::{Pool, ROWS};
use report::{Entry, Kind, Report};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_snapshot::{Executable, Executor, Precision, Scratch, Snapshot};
use weir_trainer::ort_engine::Engine;

/// Rounds: some twenty seconds.
const ROUNDS: usize = 300;
/// Rows on which the compiled C is held to what its integers mean.
const CHECKED: usize = 4096;

/// Measures time per inference; prints a table, and writes it as JSON and as a figure.
#[derive(Debug, Parser)]
struct Arguments {
    /// The network, of the shape that conf/models/aurora.onnx has
    #[arg(long, default_value = "conf/models/aurora.onnx")]
    model: PathBuf,
    /// The folder for inference.json, inference.svg and the generated C
    #[arg(long, default_value = "out/bench")]
    out: PathBuf,
    /// The core to measure on; the last one that this process may use unless given
    #[arg(long)]
    core: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot make {}", arguments.out.display()))?;
    let core = match arguments.core {
        Some(core) => core,
        None => *weir_cpu::allowed_cpus()?.last().context("no core to run on")?,
    };

    eprintln!("building {}, compiling the generated C", arguments.model.display());
    let pool = Pool::new(&arguments.model)?;
    let (mut contenders, mut missing) = contender::executors(&pool)?;
    let mut kinds = vec![Kind::Executor; contenders.len()];
    let mut add = |more: Vec<Contender>, kind| {
        kinds.extend(more.iter().map(|_| kind));
        contenders.extend(more);
    };

    let (compilers, without) = liteflow::compilers();
    let mut incomplete = compilers.is_empty();
    missing.extend(without);
    let objects = tempfile::tempdir().context("cannot make a folder for compiled code")?;
    for compiler in &compilers {
        add(
            contender::generated(&generated(&pool, compiler, &arguments.out, objects.path())?),
            Kind::Generated,
        );
        for precision in Precision::ALL {
            let snapshot = &pool.snapshots[pool::index(precision)];
            let compiled = kernel_c(&pool, snapshot, compiler, objects.path())?;
            add(contender::kernel(&compiled, &compiler.command, precision), Kind::KernelC);
        }
    }
    add(vec![contender::naive(&pool)], Kind::Naive);
    match Engine::load(None) {
        Ok(engine) => add(contender::onnx_runtime(&engine, &pool)?, Kind::OnnxRuntime),
        Err(error) => {
            incomplete = true;
            missing.push(error.to_string());
        }
    }

    weir_cpu::pin_current_thread(core)?;
    eprintln!("checking that {} contenders compute the network, {ROWS} rows each", contenders.len());
    let errors = measure::check(&pool, &mut contenders)?;
    let before = Usage::now();
    let times = measure::rounds(&pool, &mut contenders, ROUNDS)?;
    let core_share = Usage::now().share_since(before);

    let figures = contenders.into_iter().zip(kinds).zip(errors).zip(times);
    let entries = figures.map(|(((contender, kind), error), rounds)| Entry {
        label: contender.label,
        ns: Spread::of(rounds.clone()),
        error,
        rounds,
        kind,
    });
    let mut report = Report {
        machine: Machine::new(core),
        unix_seconds: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        model: format!("{} ({})", arguments.model.display(), pool.network.shape()),
        rounds: ROUNDS,
        core_share,
        compilers: compilers.into_iter().map(|compiler| compiler.version).collect(),
        entries: entries.collect(),
        ratios: Vec::new(),
        kernel_ratios: Vec::new(),
        missing,
    };
    report.compare();
    print!("{report}");
    let json = arguments.out.join("inference.json");
    std::fs::write(&json, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    let svg = arguments.out.join("inference.svg");
    figure::draw(&svg, &report)?;
    println!("written: {}, {}", json.display(), svg.display());
    let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
    ensure!(
        !(incomplete && required),
        "competitors are missing, see above; WEIR_REQUIRE_ALL=0 lets that pass"
    );
    Ok(())
}

/// Emits Weir's C for the kernel, compiles it, and holds it to the scalar executor.
fn kernel_c(
    pool: &Pool,
    snapshot: &Snapshot,
    compiler: &liteflow::Compiler,
    objects: &Path,
) -> Result<kernel::Compiled> {
    let compiled = kernel::Compiled::new(snapshot, &compiler.command, objects)?;
    let scalar = Executable::new(snapshot.clone(), Executor::Scalar)?;
    let mut scratch = Scratch::new();
    for features in pool.features.chunks_exact(pool.width()).take(CHECKED) {
        let (mut found, mut meant) = ([0], [0]);
        compiled.infer_features(features, &mut found);
        scalar.evaluate(features, &mut meant, &mut scratch);
        ensure!(
            found == meant,
            "{}: the kernel C gives {found:?}, the definition {meant:?}",
            compiler.command
        );
    }
    Ok(compiled)
}

/// Writes the C, compiles it with every set of flags, and holds both of its functions to the model's integers.
fn generated(
    pool: &Pool,
    compiler: &liteflow::Compiler,
    out: &Path,
    objects: &Path,
) -> Result<Vec<liteflow::Compiled>> {
    let source = out.join("liteflow.c");
    std::fs::write(&source, liteflow::emit(&pool.liteflow))
        .with_context(|| format!("cannot write {}", source.display()))?;
    let compiled = compiler.compile(&source, objects, pool.width(), 1)?;
    for one in &compiled {
        let rows =
            pool.rows_wide.chunks_exact(pool.width()).zip(pool.features_wide.chunks_exact(pool.width()));
        for (row, features) in rows.take(CHECKED) {
            let (mut from_row, mut from_features) = ([0], [0]);
            one.from_row.call(row, &mut from_row);
            one.from_features.call(features, &mut from_features);
            let meant = pool.liteflow.run(row);
            ensure!(
                from_row[..] == meant && from_features[..] == meant,
                "{}: the compiled C gives {from_row:?} and {from_features:?}, its integers {meant:?}",
                one.name
            );
        }
    }
    Ok(compiled)
}
