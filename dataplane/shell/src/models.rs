//! `weir check` and `weir train`, and what they share with `weir run`: building the configuration's models.

use crate::calendar;
use crate::capture::CaptureReader;
use crate::config::{self, ConfigError, Plan, PortsPlan, Source};
use crate::run;
use clap::Args;
use std::path::{Path, PathBuf};
use tracing::info;
use weir_engine::config::PacingRule;
use weir_engine::io::Side;
use weir_engine::route::StaticRoute;
use weir_engine::schedule::ScheduleRule;
use weir_trainer::{BuildError, Built, imitate as imitation};

/// Imports and quantises every model of a plan.
///
/// # Errors
/// A model's refusal, at the place of its `file` key, or of its `preference` where that is what is wrong.
pub fn build_all(plan: &Plan, source: &Source) -> Result<Vec<Built>, ConfigError> {
    let build = |(index, model): (usize, &config::ModelPlan)| {
        weir_trainer::build(&model.spec).map_err(|error| {
            let about_preference =
                matches!(error, BuildError::Preference { .. } | BuildError::NoPreference { .. });
            let key = if about_preference { "preference" } else { "file" };
            source.error(&Plan::model_key(index, key), error)
        })
    };
    plan.models.iter().enumerate().map(build).collect()
}

/// `weir check`: everything that `weir run` would find out before it touches a port.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(file: &Path, overrides: &[String]) -> anyhow::Result<()> {
    let (plan, source) = config::load(file, overrides)?;
    let built = build_all(&plan, &source)?;
    if let PortsPlan::Captures(files) = &plan.ports {
        for (side, pair) in ["inside", "outside"].iter().zip(files) {
            CaptureReader::open(&pair.input)
                .map_err(|error| source.error(&format!("ports.{side}"), error))?;
        }
    }
    println!("{}: ok", file.display());
    match &plan.ports {
        PortsPlan::Devices([inside, outside]) => {
            println!("ports: inside {}, outside {}", inside.name(), outside.name());
            println!("cores: {}", plan.cores);
            let pages = if plan.eal.hugepages { "hugepages" } else { "ordinary pages" };
            println!("memory: {} MB of {pages}, {} frame buffers", plan.eal.memory_mb, plan.buffers());
            if let Some(socket) = &plan.control {
                println!("control: {}", socket.display());
            }
            if let Some(trainer) = &plan.trainer {
                let (seconds, store) = (trainer.interval.0 as f64 / 1e9, trainer.store.display());
                println!(
                    "trainer: core {}, a step every {seconds} s, generations kept in {store}",
                    trainer.core
                );
            }
        }
        PortsPlan::Captures(files) => {
            for (side, pair) in ["inside", "outside"].iter().zip(files) {
                println!("ports: {side} from {} to {}", pair.input.display(), pair.output.display());
            }
        }
    }
    if let Some(route) = &plan.engine.route {
        for (side, interface) in Side::ALL.iter().zip(&route.sides) {
            let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
            println!("route: {} is {}, MTU {}", side.name(), addresses.join(", "), interface.mtu);
        }
        for StaticRoute { prefix, via, out } in &route.routes {
            println!("route: {prefix} via {via} {}", out.name());
        }
    }
    if let Some(balance) = plan.engine.route.as_ref().and_then(|route| route.balance.as_ref()) {
        let to: Vec<String> = balance.to.iter().map(ToString::to_string).collect();
        let by = plan.path_model.and_then(|index| plan.models.get(index));
        let by = by.map_or("none", |model| model.spec.name.as_str());
        println!(
            "balance: to {}, model {by}, rule {}, packets up to {} bytes",
            to.join(", "),
            balance.settings.rule.name(),
            balance.mtu()
        );
        for (path, weight) in plan.path_names().iter().zip(balance.settings.weights) {
            println!("path {}: {}, weight {weight}", path.name, path.made_of);
        }
    }
    match &plan.engine.pacing {
        None => println!("pacing: none, frames are forwarded only"),
        Some(pacing) => {
            let rule = match pacing.rule {
                PacingRule::None => "none".to_owned(),
                PacingRule::Fixed(rate) => format!("fixed at {rate}"),
                PacingRule::BbrLite => "bbr_lite".to_owned(),
            };
            let by = plan.pacing_model.and_then(|index| plan.models.get(index));
            let by = by.map_or("none", |model| model.spec.name.as_str());
            println!("pacing: model {by}, rule {rule}, {} to {}", pacing.rate_min, pacing.rate_max);
            for limit in pacing.limits.iter() {
                println!("limit {}: {} at {}", limit.name, limit.scope, limit.rate);
            }
        }
    }
    if let Some(schedule) = &plan.engine.schedule {
        let rule = schedule.rule.name();
        let by = plan.size_model.and_then(|index| plan.models.get(index));
        let by = by.map_or("none", |model| model.spec.name.as_str());
        println!("schedule: model {by}, rule {rule}, link {}", schedule.link_rate);
        let shown = |thresholds: &[u64]| thresholds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        if schedule.model {
            println!(
                "schedule: priorities part at predicted sizes of {} bytes",
                shown(&schedule.size_thresholds.0)
            );
        }
        if schedule.rule == ScheduleRule::Ageing {
            println!(
                "schedule: priorities part at {} bytes sent, by rule",
                shown(&schedule.ageing_thresholds.0)
            );
        }
    }
    for built in &built {
        println!("{}", built.report);
    }
    for learning in run::learning(&plan, &source, built)? {
        println!("{learning}");
    }
    Ok(())
}

/// Arguments of `weir train imitate`.
#[derive(Debug, Args)]
pub struct ImitateArgs {
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder for `aurora.onnx` and its card `aurora.md`.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// `weir train imitate`.
///
/// # Errors
/// The model does not pass its checks, or cannot be written.
pub fn imitate(args: &ImitateArgs) -> anyhow::Result<()> {
    let options = imitation::Options {
        seed: args.seed,
        folder: args.out.clone(),
        date: calendar::date(calendar::unix_seconds()),
    };
    let made = imitation::make(&options, &mut |line| info!("{line}"))?;
    println!("{}\n{}", made.model.display(), made.card.display());
    Ok(())
}
