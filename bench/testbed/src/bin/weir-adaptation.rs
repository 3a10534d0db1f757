//! `weir-adaptation`: the link changes under the traffic, through a Weir that learns and through one that is frozen.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use weir_link::Settings;
use weir_testbed::adaptation::{self, Conditions, Mode, Stretch, figure, report};
use weir_testbed::interrupt::Interrupt;
use weir_testbed::link::program_folder;
use weir_testbed::{netns, weir};

/// Many TCP flows through a link that changes every now and then: once through a Weir whose model is frozen, once
/// through one that learns. Prints one table; writes adaptation.json and adaptation.svg. Needs root.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Weir's configuration; its sections `trainer` and `model.adapt` say how it learns.
    #[arg(long, value_name = "FILE", default_value = "conf/adaptive.toml")]
    config: PathBuf,
    /// Changes to it, key=value.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Folder for results and logs.
    #[arg(long, value_name = "FOLDER", default_value = "out/adaptation")]
    out: PathBuf,
    /// TCP flows, half of them IPv4.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..=128))]
    flows: u32,
    /// How long the link stays as it is, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(4..=3_600))]
    stretch: u32,
    /// The link, one stretch after the other: NAME: KEY=VALUE..., each with the rest as in the one before. A queue for each flow,
    /// so that no flow takes another's share; 100 ms round trip, then a fifth of that, then as at first.
    #[arg(long = "link", value_name = "STRETCH", default_values_t = [
        "home: rate=100Mbps delay=50ms queue=150kB queues=fair".to_owned(),
        "near: rate=77Mbps delay=10ms".to_owned(),
        "home again: rate=100Mbps delay=50ms".to_owned(),
    ])]
    stretches: Vec<String>,
    /// Seed of the link.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only this one: frozen or learning.
    #[arg(long, value_parser = mode)]
    only: Option<Mode>,
}

fn mode(text: &str) -> Result<Mode, String> {
    let found = [Mode::Frozen, Mode::Learning].into_iter().find(|mode| mode.name() == text);
    found.ok_or_else(|| "expected frozen or learning".to_owned())
}

fn adapt(cli: &Cli) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let begun = Instant::now();
    ensure!(cli.config.is_file(), "no configuration at {}", cli.config.display());
    let mut stretches: Vec<Stretch> = Vec::new();
    for text in &cli.stretches {
        let before = stretches.last().map_or_else(Settings::default, |stretch| stretch.settings);
        stretches.push(Stretch::parse(text, before)?);
    }
    let conditions = Conditions {
        stretches,
        stretch_s: cli.stretch,
        flows: cli.flows,
        seed: cli.seed,
        config: cli.config.clone(),
        overrides: cli.overrides.clone(),
        weir: weir::binary(&program_folder()?)?,
        out: cli.out.clone(),
    };
    fs::create_dir_all(&cli.out).with_context(|| format!("cannot make {}", cli.out.display()))?;
    for name in netns::sweep()? {
        println!("removed {name}, left by a run that was killed");
    }
    for stretch in &conditions.stretches {
        println!("{}: {}", stretch.name, stretch.settings);
    }
    let mut runs = Vec::new();
    for mode in
        [Mode::Frozen, Mode::Learning].into_iter().filter(|mode| cli.only.is_none_or(|only| only == *mode))
    {
        let mut progress =
            |what: &str| println!("[{:>5.1} s] {}: {what}", begun.elapsed().as_secs_f64(), mode.name());
        runs.push(
            adaptation::run(mode, &conditions, &interrupt, &mut progress).with_context(|| mode.name())?,
        );
    }
    let (json, svg) = (cli.out.join("adaptation.json"), cli.out.join("adaptation.svg"));
    fs::write(&json, serde_json::to_vec_pretty(&runs)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    figure::draw(&svg, &conditions, &runs)?;
    println!("\n{}", report::text(&conditions, &runs));
    println!("{} and {} written in {:.0} s", json.display(), svg.display(), begun.elapsed().as_secs_f64());
    // The point of the exercise: a Weir that learned from nothing is a failure, however good it looks.
    for run in runs.iter().filter(|run| run.mode == Mode::Learning) {
        ensure!(run.steps > 0, "nothing was learned; samples: {:?}", run.samples);
    }
    Ok(())
}

fn main() -> ExitCode {
    match adapt(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-adaptation: {error:#}");
            ExitCode::FAILURE
        }
    }
}
