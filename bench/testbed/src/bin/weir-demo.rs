//! `weir-demo`: the same TCP traffic through the same link, without Weir and with it in three ways.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use weir_link::Settings;
use weir_testbed::interrupt::Interrupt;
use weir_testbed::link::program_folder;
use weir_testbed::scheme::Scheme;
use weir_testbed::trial::{self, Conditions, Trial};
use weir_testbed::{figure, netns, report, weir};

/// Four TCP flows (two IPv4, two IPv6) through a link of 100 Mb/s, 10 ms each way and a queue of two
/// bandwidth-delay products, which falls to 50 Mb/s half way: without Weir, with Weir forwarding only, with its
/// rule, with its model. Prints one table; writes demo.json and demo.svg. Needs root.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Weir's configuration.
    #[arg(long, value_name = "FILE", default_value = "conf/demo.toml")]
    config: PathBuf,
    /// Folder for results and logs.
    #[arg(long, value_name = "FOLDER", default_value = "out")]
    out: PathBuf,
    /// How long the traffic of each scheme runs, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(4..=600))]
    seconds: u32,
    /// Seed of the link.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only these schemes: no-weir, forward, bbr-lite, model.
    #[arg(long, value_delimiter = ',', value_parser = scheme)]
    only: Vec<Scheme>,
}

fn scheme(slug: &str) -> Result<Scheme, String> {
    let found = Scheme::ALL.into_iter().find(|scheme| scheme.slug() == slug);
    found.ok_or_else(|| format!("expected one of {}", Scheme::ALL.map(Scheme::slug).join(", ")))
}

fn demo(cli: &Cli) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let begun = Instant::now();
    let schemes = if cli.only.is_empty() { Scheme::ALL.to_vec() } else { cli.only.clone() };
    let conditions = Conditions {
        settings: Settings::default(),
        rate_after_bps: 50_000_000,
        seconds: cli.seconds,
        seed: cli.seed,
        config: cli.config.clone(),
        weir: if schemes.iter().any(|scheme| scheme.overrides().is_some()) {
            ensure!(cli.config.is_file(), "no configuration at {}", cli.config.display());
            weir::binary(&program_folder()?)?
        } else {
            PathBuf::new()
        },
        out: cli.out.clone(),
    };
    fs::create_dir_all(&cli.out).with_context(|| format!("cannot make {}", cli.out.display()))?;
    for name in netns::sweep()? {
        println!("removed {name}, left by a run that was killed");
    }
    println!("link: {}; then {} Mb/s", conditions.settings, conditions.rate_after_bps / 1_000_000);

    let mut trials = Vec::new();
    for scheme in schemes {
        let mut progress = |what: &str| {
            println!("[{:>5.1} s] {}: {what}", begun.elapsed().as_secs_f64(), scheme.title());
        };
        progress(&format!("{} s of traffic", cli.seconds));
        let trial = trial::run(scheme, &conditions, &interrupt, &mut progress)
            .with_context(|| format!("scheme {}", scheme.title()))?;
        progress(&format!("{:.1} Mb/s", trial.whole.goodput_mbps));
        trials.push(trial);
    }

    let (json, svg) = (cli.out.join("demo.json"), cli.out.join("demo.svg"));
    fs::write(&json, serde_json::to_vec_pretty(&trials)?)
        .with_context(|| format!("cannot write {}", json.display()))?;
    figure::draw(&svg, &conditions, &trials)?;
    println!("\n{}", report::text(&conditions, &trials));
    println!("{} and {} written in {:.0} s", json.display(), svg.display(), begun.elapsed().as_secs_f64());
    decided(&trials)
}

/// The point of the exercise: a run in which the network decided nothing is a failure, however good it looks.
fn decided(trials: &[Trial]) -> Result<()> {
    for trial in trials.iter().filter(|trial| trial.scheme == Scheme::Model) {
        let inferences = trial.weir.as_ref().map_or(0, |counters| counters.inferences);
        ensure!(inferences > 0, "the model was never asked");
    }
    Ok(())
}

fn main() -> ExitCode {
    match demo(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
