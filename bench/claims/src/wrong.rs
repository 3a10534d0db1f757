//! Wrong candidates where the trainer's own would be judged, under the configuration that ships: which stage refuses which.

use anyhow::{Context, Result, anyhow, ensure};
use std::fmt::Write;
use std::path::Path;
use weir_env::Preference;
use weir_features::{FEATURES, PacingSpec};
use weir_snapshot::Precision;
use weir_trainer::ModelSpec;
use weir_trainer::online::gate::{GateConfig, Safety, Terms};
use weir_trainer::online::replay::LinkReplay;
use weir_trainer::online::wrong::{Line, inject};

/// Of each kind: 28 kinds make more than a thousand.
const EACH: u64 = 40;
/// The guard's bounds in `conf/adaptive.toml`, in bits per second.
const RATE_BPS: (u64, u64) = (500_000, 10_000_000_000);

/// Injects, and gives the table.
///
/// # Errors
/// A candidate passed, or was refused by a stage that is not there for it; the table is in the error then.
pub(crate) fn table(base: &Path) -> Result<String> {
    let built = weir_trainer::build(&ModelSpec::pacing("aurora", base, Precision::Bits12))?;
    let config = GateConfig::new(Some(Safety::new(RATE_BPS.0, RATE_BPS.1)));
    let mut world = LinkReplay::new(PacingSpec::default(), Preference::DEFAULT, RATE_BPS);
    let lines = inject(&built.network, FEATURES, &Terms::of(&built), &config, &mut world, (EACH, 1))
        .map_err(|error| anyhow!(error))
        .context("no candidates")?;
    let text = written(&lines);
    ensure!(lines.iter().all(Line::holds), "the gate fails:\n{text}");
    Ok(text)
}

fn written(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let by: Vec<String> =
            line.refused.iter().map(|(reason, count)| format!("{} {count}", reason.name())).collect();
        // Writing into a `String` cannot fail.
        let _ = writeln!(
            text,
            "{:<66} {:>4} injected {:>4} installed   {}",
            line.kind.about(),
            line.injected,
            line.installed,
            by.join(", ")
        );
    }
    let (injected, installed) =
        lines.iter().fold((0, 0), |sum, line| (sum.0 + line.injected, sum.1 + line.installed));
    let _ = writeln!(text, "{} kinds, {injected} injected, {installed} installed", lines.len());
    text
}
