//! The model's card: how it was made, how good it is, what it is not.

use super::{CARD_SEED, NAME, Options, Point, TrainError, built, by, conditions, means, rule};
use crate::experiment::{FabricScheme, PathRule};
use std::fmt::Write;
use std::path::Path;
use weir_engine::balance::PathRule as EngineRule;
use weir_snapshot::Precision;

/// The whole card, from the file read back.
pub(super) fn text(options: &Options, points: &[Point], file: &Path) -> Result<String, TrainError> {
    let Options { recipe, command, date, jobs, .. } = options;
    let scheme = |name: &str, path| FabricScheme::new(name.to_owned(), path);
    let engine =
        |wanted: EngineRule| scheme(&format!("rule {}", wanted.name()), PathRule::Engine(rule(wanted)));
    let mut schemes = vec![
        engine(EngineRule::Ecmp),
        engine(EngineRule::LetFlow),
        engine(EngineRule::Plb),
        engine(EngineRule::PowerOfTwo),
        scheme("shortest queues, an oracle", PathRule::Conga(super::RULE_GAP)),
    ];
    let mut quantisation =
        String::from("| precision | snapshot | mean | p99 | max |\n| --- | --- | --- | --- | --- |\n");
    let mut shape = String::new();
    for precision in Precision::ALL {
        let built = built(file, precision)?;
        let e = built.report.quantisation;
        // Writing to a String cannot fail.
        let _ = writeln!(
            quantisation,
            "| {} | {} B | {:.4} | {:.4} | {:.4} |",
            precision.name(),
            built.report.snapshot_bytes,
            e.mean,
            e.p99,
            e.max
        );
        shape = built.network.shape();
        schemes.push(scheme(&format!("{NAME}, {}", precision.name()), PathRule::Engine(by(built)?)));
    }
    let fabric = conditions::to_judge(recipe.arrivals, schemes)?;
    let found = means(&fabric, (CARD_SEED, recipe.judges), *jobs);
    let names: Vec<&str> = fabric.conditions.iter().map(|case| case.name.as_str()).collect();
    let mut table = format!("| | {} |\n| --- |{}\n", names.join(" | "), " --- |".repeat(names.len()));
    for (at, scheme) in fabric.schemes.iter().enumerate() {
        let means: Vec<String> = found.iter().map(|schemes| format!("{:.2}", schemes[at])).collect();
        let _ = writeln!(table, "| {} | {} |", scheme.name, means.join(" | "));
    }
    let mut rounds =
        String::from("| decisions | regret | FCT over LetFlow's, by condition |\n| --- | --- | --- |\n");
    for point in points {
        let ratios: Vec<String> = point.ratios.iter().map(|ratio| format!("{ratio:.3}")).collect();
        let _ = writeln!(rounds, "| {} | {:.3} | {} |", point.decisions, point.regret, ratios.join(", "));
    }
    let judges = recipe.judges;
    let [arrivals_ms, probe_us, rule_us, gap_us] = [
        recipe.arrivals.0 / 1_000_000,
        super::PROBE_INTERVAL.0 / 1_000,
        super::RULE_GAP.0 / 1_000,
        super::FLOWLET_GAP.0 / 1_000,
    ];
    let hysteresis = super::HYSTERESIS;
    Ok(format!(
        "# {NAME}.onnx

Scores a path for a flow: {shape}, tanh, eleven features in (`docs/features.md` section 13), log2 of the time to deliver the rest
of the flow out, less what all paths of a decision have in common. The path with the least score is taken.

## How it was made

    {command}

on {date}; the same seed gives the same file on the same kind of machine. Supervised, from the simulator's truth: a 4 x 4 x 8
leaf-spine fabric of 10 Gb/s with web search and data mining at loads of 0.3 to 0.8, {arrivals_ms} ms of arrivals each, a third of the fabrics
whole, a third with one link at 0.1 to 0.5 of its rate, a third with a spine that loses 0.2 to 1.2 % of its frames. Whatever the engine
decided there was kept with the row of each path and what that path would have cost (`sim/src/edge/truth.rs`): queues, a fair share
of the links, what a sender keeps up under the loss. The first round's choices are LetFlow's, later ones those of the network before
and a fifth drawn. The best round's network by FCT, in fabrics with seeds of their own, is this one. `{NAME}.svg` is the curve.

{rounds}
## How good it is

Mean FCT in milliseconds at load 0.6, web search, {judges} seeds that nothing was learned or selected from, too few for intervals:
those are in `docs/SPEC.md`, from `sim/experiments/paths-model-full.toml`, and say where it is no better than a rule.
*Asymmetric*: one link at a fifth of its rate. *Grey failure*: a spine loses 0.5 %. All paths are probed each {probe_us} us.
Flowlets end after {rule_us} us for the rules, after {gap_us} us for the network, with a hysteresis of {hysteresis}.

{table}
## Quantisation error

Integers against the float network on 4 096 seeded rows within the clips, in units of the score (1: a factor of two in time).

{quantisation}
## What it is not

- Trained on real traffic, or on a fabric of other delays: round trips of some 100 us, rates of 10 Gb/s that are configured on
  the paths.
- Told how much a flow has left: `log_remaining` is 0 in all that it has seen, and has no weight.
- Good without frequent probes: a host's own flows alone tell it little of what others do to a path.
- Good when late: flows that wait 1 ms for its answers end later than under the best rule.
"
    ))
}
