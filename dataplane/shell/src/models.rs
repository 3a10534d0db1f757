//! `weir check` and `weir train`, and what they share with `weir run`: building the configuration's models.

use crate::capture::CaptureReader;
use crate::config::{self, ConfigError, Plan, PortsPlan, Source};
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::info;
use weir_engine::config::PacingRule;
use weir_trainer::{BuildError, Built, imitate as imitation};

/// Imports and quantises every model of a plan.
///
/// # Errors
/// A model's refusal, at the place of its `file` key.
pub fn build_all(plan: &Plan, source: &Source) -> Result<Vec<Built>, ConfigError> {
    let build = |(index, model): (usize, &config::ModelPlan)| {
        weir_trainer::build(&model.spec)
            .map_err(|error: BuildError| source.error(&Plan::model_key(index, "file"), error))
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
        }
        PortsPlan::Captures(files) => {
            for (side, pair) in ["inside", "outside"].iter().zip(files) {
                println!("ports: {side} from {} to {}", pair.input.display(), pair.output.display());
            }
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
        }
    }
    for built in &built {
        println!("{}", built.report);
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
    let options = imitation::Options { seed: args.seed, folder: args.out.clone(), date: today() };
    let made = imitation::make(&options, &mut |line| info!("{line}"))?;
    println!("{}\n{}", made.model.display(), made.card.display());
    Ok(())
}

/// Today in UTC as `YYYY-MM-DD`, by Hinnant's `civil_from_days` (days since 1970 to the proleptic Gregorian calendar).
fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs());
    civil(seconds / 86_400)
}

fn civil(days: u64) -> String {
    // Counted from 1 March of year 0, so that a leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::civil;

    #[test]
    fn days_are_dates() {
        assert_eq!(civil(0), "1970-01-01");
        assert_eq!(civil(11_016), "2000-02-29");
        assert_eq!(civil(20_780), "2026-11-23");
    }
}
