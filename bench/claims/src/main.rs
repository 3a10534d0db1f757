//! `weir-claims`: what adaptation is claimed to do, measured in virtual time with the datapath's and the trainer's own code.
#![forbid(unsafe_code)]

mod experiment;
mod figure;
mod places;
mod pool;
mod reference;
mod report;
mod wrong;

use anyhow::{Context, Result, bail};
use clap::Parser;
use experiment::{RunResult, Setting, Variant};
use pool::Shares;
use report::{Row, spread};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use weir_env::published;
use weir_snapshot::{Function, Precision};
use weir_trainer::ort_engine::Engine;
use weir_trainer::{InputSpec, ModelSpec};

/// LiteFlow's update interval that it settles on, in nanoseconds.
const INTERVAL_NS: u64 = 500_000_000;
/// The gate's default threshold, in sigmas.
const FIDELITY: f64 = 0.05;

/// Adaptation in virtual time: environments change under a base policy that was trained elsewhere (row D) and that breaks
/// there (row B) and holds its flows down (row S), trainer intervals (row E), fidelity thresholds (row F), and wrong
/// candidates at the gate (row W). Prints tables; writes claims.json and figures. Needs ONNX Runtime.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The base policy.
    #[arg(long, value_name = "FILE", default_value = "conf/models/aurora-published.onnx")]
    base: PathBuf,
    /// Folder for results.
    #[arg(long, value_name = "FOLDER", default_value = "out/claims")]
    out: PathBuf,
    /// Runs of row D, each with a seed of its own.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
    /// Flows that are pooled.
    #[arg(long, default_value_t = 64)]
    flows: u64,
    /// Decisions in each new environment, all flows together.
    #[arg(long, default_value_t = 50_000)]
    decisions: u64,
    /// Share of flows that explore.
    #[arg(long, default_value_t = 0.5)]
    explore_share: f64,
    /// Standard deviation of their noise, in actions.
    #[arg(long, default_value_t = 1.0)]
    explore_sigma: f64,
    /// Only these rows: D, B, S, E, F, W.
    #[arg(long, value_delimiter = ',', default_value = "D,B,S,E,F,W")]
    rows: Vec<char>,
}

fn claims(cli: &Cli) -> Result<()> {
    let begun = Instant::now();
    if let Some(row) = cli.rows.iter().find(|row| !"DBSEFW".contains(**row)) {
        bail!("no row {row}: expected D, B, S, E, F or W");
    }
    let engine = Engine::load(None).context("ONNX Runtime is needed: scripts/fetch-ort.sh installs it")?;
    let clip = |feature: &str, clip| InputSpec { feature: feature.to_owned(), scale: 1.0, offset: 0.0, clip };
    let spec = published::spec();
    let model = ModelSpec {
        name: "aurora".to_owned(),
        function: Function::Pacing,
        file: cli.base.clone(),
        precision: Precision::Bits12,
        inputs: vec![
            clip("sent_latency_inflation", [-0.5, 0.5]),
            clip("latency_ratio", [1.0, 3.0]),
            clip("send_ratio", [0.5, 2.0]),
        ],
        history: weir_features::HISTORY,
        pacing: spec.clone(),
        preference: None,
    };
    let base = weir_trainer::build(&model)?;
    let q16 = |value: f64| (value * 65_536.0).round() as u32;
    let stages = places::stages(cli.decisions);
    let setting = Setting {
        engine: &engine,
        base: &base,
        spec: &spec,
        stages: &stages,
        flows: cli.flows,
        shares: Shares {
            control: q16(0.1),
            explore: q16(cli.explore_share),
            sigma_q16: q16(cli.explore_sigma),
        },
        // The simulator's bounds: 40 to 1 000 packets a second.
        rate_bps: (480_000, 12_000_000),
    };
    fs::create_dir_all(&cli.out).with_context(|| format!("cannot make {}", cli.out.display()))?;
    let run_in = |setting: &Setting<'_>, name: &str, variant: Variant| -> Result<RunResult> {
        let result = experiment::run(setting, &variant, &|| begun.elapsed().as_secs_f64())?;
        let settled: Vec<String> =
            result.stages.iter().map(|stage| format!("{:.3}", stage.settled)).collect();
        println!(
            "[{:>5.0} s] {name}, seed {}: {}",
            begun.elapsed().as_secs_f64(),
            variant.seed,
            settled.join(", ")
        );
        Ok(result)
    };
    let run = |name: &str, variant| run_in(&setting, name, variant);
    let plain = |seed| Variant { adapts: true, interval_ns: INTERVAL_NS, fidelity: FIDELITY, seed };
    let mut written = serde_json::Map::new();
    let mut keep = |name: &str, runs: &[RunResult]| -> Result<()> {
        written.insert(name.to_owned(), serde_json::to_value(runs)?);
        Ok(())
    };
    let (broken, sunk) = (places::breaking(cli.decisions), places::sunk(cli.decisions));
    for (letter, stages) in [('D', &stages[..]), ('B', &broken[..]), ('S', &sunk[..])] {
        if !cli.rows.contains(&letter) {
            continue;
        }
        println!("row {letter}: {} flows, {} decisions in each new environment", cli.flows, cli.decisions);
        let setting = Setting { stages, ..setting };
        let runs = |name: &str, adapts| -> Result<Vec<RunResult>> {
            (1..=cli.seeds).map(|seed| run_in(&setting, name, Variant { adapts, ..plain(seed) })).collect()
        };
        let (frozen, adapted) = (runs("frozen", false)?, runs("adapted", true)?);
        let rows = [
            Row { name: "frozen".to_owned(), runs: &frozen },
            Row { name: "adapted".to_owned(), runs: &adapted },
        ];
        let mut trained = Vec::new();
        for (index, stage) in stages.iter().enumerate().filter(|(_, stage)| stage.is_new) {
            println!("training {} policies for {} from nothing", reference::SEEDS, stage.name);
            let train = |seed| -> Result<Vec<RunResult>> {
                let network = reference::train(&engine, stage, seed)?;
                let file = cli.out.join(format!("trained-{letter}{index}-{seed}.onnx"));
                fs::write(&file, weir_trainer::onnx::export(&network, "aurora"))
                    .with_context(|| format!("cannot write {}", file.display()))?;
                let base = weir_trainer::build(&ModelSpec { file, ..model.clone() })?;
                let there = Setting { base: &base, stages: std::slice::from_ref(stage), ..setting };
                let name = format!("trained there with seed {seed}");
                let frozen = |seed| run_in(&there, &name, Variant { adapts: false, ..plain(seed) });
                (1..=cli.seeds).map(frozen).collect()
            };
            let all = (1..=reference::SEEDS).map(train).collect::<Result<Vec<_>>>()?;
            let best = all.into_iter().max_by(|a, b| report::settled(a).total_cmp(&report::settled(b)));
            let runs = best.context("no policy was trained")?;
            trained.push((index, runs));
        }
        println!("\n{}", report::stages(stages, &rows));
        println!("{}", report::promise(stages, &adapted, &trained));
        for (index, runs) in &trained {
            keep(&format!("row {letter}, trained there, {}", stages[*index].name), runs)?;
        }
        let figure = cli.out.join(format!("row-{}.svg", letter.to_ascii_lowercase()));
        figure::draw(&figure, stages, &frozen, &adapted)?;
        keep(&format!("row {letter}, frozen"), &frozen)?;
        keep(&format!("row {letter}, adapted"), &adapted)?;
    }
    if cli.rows.contains(&'E') {
        println!("row E: the trainer's interval");
        for interval_ms in [10, 100, 1_000, 10_000] {
            let name = format!("T = {interval_ms} ms");
            let runs = [run(&name, Variant { interval_ns: interval_ms * 1_000_000, ..plain(1) })?];
            println!("{}", report::stages(&stages, &[Row { name: name.clone(), runs: &runs }]));
            keep(&name, &runs)?;
        }
    }
    if cli.rows.contains(&'F') {
        println!("row F: the fidelity threshold");
        for fidelity in [0.0, 0.05, 0.2, f64::INFINITY] {
            let name = format!("{fidelity} sigma");
            let runs = [run(&name, Variant { fidelity, ..plain(1) })?];
            let hours: f64 = runs[0].stages.iter().map(|stage| stage.seconds / 3_600.0).sum();
            let swaps: u64 = runs[0].stages.iter().map(|stage| stage.swaps).sum();
            let (reward, ..) = spread(runs[0].stages.iter().map(|stage| stage.mean).collect());
            println!("{name}: {:.0} swaps an hour, mean reward {reward:.3}", swaps as f64 / hours);
            keep(&name, &runs)?;
        }
    }
    if cli.rows.contains(&'W') {
        println!("wrong candidates\n{}", wrong::table(&cli.base)?);
    }
    let json = cli.out.join("claims.json");
    fs::write(&json, serde_json::to_vec_pretty(&written)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    println!("{} written in {:.0} s", json.display(), begun.elapsed().as_secs_f64());
    Ok(())
}

fn main() -> ExitCode {
    match claims(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-claims: {error:#}");
            ExitCode::FAILURE
        }
    }
}
