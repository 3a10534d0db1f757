//! `weir-dashboard`: whether every panel of the dashboard and every alert gets data from a real Weir.
#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU};
use weir_testbed::dashboard::queries;
use weir_testbed::interrupt::Interrupt;
use weir_testbed::link::program_folder;
use weir_testbed::netns;
use weir_testbed::prometheus::{Prometheus, Series};
use weir_testbed::traffic::{Traffic, check_path};
use weir_testbed::weir::{self, Weir};

/// Starts Weir under TCP traffic in namespaces, lets a Prometheus with the shipped configuration and alerts scrape it every
/// second, and asks every query of the dashboard, as Grafana would. Fails, with the panel's name, where one gets no series or
/// no number. Needs root and Debian's prometheus.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Weir's configuration.
    #[arg(long, value_name = "FILE", default_value = "conf/adaptive.toml")]
    config: PathBuf,
    /// Folder with prometheus.yml, alerts.yml and grafana/weir.json.
    #[arg(long, value_name = "FOLDER", default_value = "docker")]
    shipped: PathBuf,
    /// Folder for logs and Prometheus' data.
    #[arg(long, value_name = "FOLDER", default_value = "out/dashboard")]
    out: PathBuf,
    /// How long the traffic runs before the questions, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(6..=600))]
    seconds: u32,
}

/// Half of the flows under the rule, so that model and control both decide; every sample taken. The gate looks at whatever
/// the trainer makes of some seconds, so that each of its figures is there.
const OVERRIDES: [&str; 9] = [
    "pacing.control_share=0.5",
    "pacing.sample_share=1.0",
    // One that binds nothing, and has series.
    "pacing.limit=[{name=\"uplink\",rate=\"1Gbps\"}]",
    "pacing.explore_share=0.5",
    "trainer.interval=100ms",
    "model[0].adapt.rows_min=32",
    "model[0].adapt.gate.rows_min=16",
    "model[0].adapt.gate.fidelity_threshold=0",
    "model[0].adapt.gate.stability_tolerance=inf",
];
/// What the metrics of paths begin with, of which this Weir, a wire, has none: an alert that asks for one must find no series
/// here. The live test of paths asks the metric of two Weirs that have some, and `alerts_test.yml` has the alert's own cases.
const OF_PATHS: &str = "weir_path_";
/// Flows per address family: with eight in all, none at random on one side is 1 in 128, and the seed is fixed.
const FLOWS: u32 = 4;

fn run(cli: &Cli) -> Result<()> {
    let interrupt = Interrupt::install()?;
    let dashboard = cli.shipped.join("grafana/weir.json");
    let dashboard =
        fs::read_to_string(&dashboard).with_context(|| format!("cannot read {}", dashboard.display()))?;
    let queries = queries(&dashboard)?;
    for name in netns::sweep()? {
        println!("removed {name}, left by a run that was killed");
    }
    // A database of an earlier run would answer in this one's place.
    let data = cli.out.join("data");
    if data.exists() {
        fs::remove_dir_all(&data).with_context(|| format!("cannot remove {}", data.display()))?;
    }
    fs::create_dir_all(&cli.out).with_context(|| format!("cannot make {}", cli.out.display()))?;

    let bed = Bed::new(true, Settings::default(), 1)?;
    let space = bed.weir.as_ref().context("a bed without Weir")?;
    let binary = weir::binary(&program_folder()?)?;
    // Generations of an earlier run would be gone on with.
    let learned = std::path::absolute(cli.out.join("learned"))?;
    if learned.exists() {
        fs::remove_dir_all(&learned).with_context(|| format!("cannot remove {}", learned.display()))?;
    }
    let store = format!("trainer.store={}", learned.display());
    let overrides: Vec<&str> = OVERRIDES.iter().copied().chain([store.as_str()]).collect();
    let weir = Weir::start(&binary, &cli.config, &overrides, space, &cli.out, &interrupt)?;
    check_path(&bed, &cli.out, &interrupt)?;
    let prometheus = Prometheus::start(&cli.shipped, space, &cli.out, CPU, &interrupt)?;

    // The traffic outlasts the questions: a rate over its end would still be a number, but not one of this load.
    let mut traffic = Traffic::serve(&bed, [FLOWS; 2], cli.seconds + 5, &cli.out, &interrupt)?;
    traffic.send(&bed, &cli.out)?;
    interrupt.sleep_until(Instant::now() + Duration::from_secs(cli.seconds.into()))?;

    let mut failures = Vec::new();
    let mut row = "";
    for query in &queries {
        if row != query.row {
            row = &query.row;
            println!("\n{row}");
        }
        let answer = judged(&prometheus, &query.text);
        report(&format!("panel {:?}", query.panel), &query.text, answer, &mut failures);
    }
    println!("\nAlerts");
    let alerts = prometheus.alerts()?;
    let mut asked = 0;
    for alert in &alerts {
        let subject = format!("alert {}", alert.name);
        if alert.query.contains(OF_PATHS) && alert.health == "ok" {
            let series = prometheus.query(&without_threshold(&alert.query))?;
            ensure!(series.is_empty(), "{subject} has {} series, and a wire has no paths", series.len());
            println!("  {subject}: not asked here, where no path is");
            continue;
        }
        asked += 1;
        let answer = if alert.health == "ok" {
            judged(&prometheus, &without_threshold(&alert.query))
        } else {
            Err(anyhow::anyhow!("health {}: {}", alert.health, alert.error))
        };
        report(&subject, &alert.query, answer, &mut failures);
    }
    ensure!(!alerts.is_empty(), "prometheus has loaded no alert");

    traffic.finish(&interrupt)?;
    prometheus.stop(&interrupt)?;
    let status = weir.stop(&interrupt)?;
    ensure!(status.success(), "weir stopped with {status}");
    bed.link.finish()?;
    if !failures.is_empty() {
        bail!("{} queries got no data:\n  {}", failures.len(), failures.join("\n  "));
    }
    println!("\n{} queries of the dashboard and {asked} alerts got data", queries.len());
    Ok(())
}

/// The series of an answer, of which one at least must be a number: 0 is, 0/0 is not.
fn judged(prometheus: &Prometheus<'_>, query: &str) -> Result<Vec<Series>> {
    let series = prometheus.query(query)?;
    ensure!(!series.is_empty(), "no series");
    ensure!(series.iter().any(|series| series.value.is_finite()), "no number in {} series", series.len());
    Ok(series)
}

fn report(subject: &str, query: &str, answer: Result<Vec<Series>>, failures: &mut Vec<String>) {
    match answer {
        Ok(series) => {
            let values: Vec<String> = series.iter().take(6).map(|series| short(series.value)).collect();
            println!("  {subject}: {} series: {}", series.len(), values.join(" "));
        }
        Err(error) => {
            println!("  {subject}: {error:#}");
            failures.push(format!(
                "{subject}: {error:#}: {}",
                query.split_whitespace().collect::<Vec<_>>().join(" ")
            ));
        }
    }
}

/// Small values are times and shares: their digits matter, too.
fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.01 { format!("{value:.1e}") } else { format!("{value:.2}") }
}

/// An alert's condition with comparisons that answer 0 or 1 instead of dropping what does not hold: then it has a series
/// for everything that it watches.
fn without_threshold(query: &str) -> String {
    [" > ", " < ", " == ", " != "]
        .iter()
        .fold(query.to_owned(), |query, comparison| query.replace(comparison, &format!("{comparison}bool ")))
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-dashboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}
