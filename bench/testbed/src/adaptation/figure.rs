//! The figure: one column per run; above what a second was worth, below what the link delivered and how long echoes took.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::{Conditions, Run};
use crate::figure::{Area, BLUE, COLUMN, DARK, ORANGE, Panel, TITLE, panel, style};

const HEIGHT: u32 = 900;
const WIDTH: u32 = COLUMN * 2;

/// Draws the runs into an SVG file.
///
/// # Errors
/// The file cannot be written.
pub fn draw(path: &Path, conditions: &Conditions, runs: &[Run]) -> Result<()> {
    let root = SVGBackend::new(path, (WIDTH * runs.len().max(1) as u32, HEIGHT)).into_drawing_area();
    let done =
        paint(&root, conditions, runs).and_then(|()| root.present().map_err(|error| anyhow!("{error}")));
    done.with_context(|| format!("cannot draw {}", path.display()))
}

fn paint(root: &Area<'_>, conditions: &Conditions, runs: &[Run]) -> Result<()> {
    root.fill(&WHITE)?;
    let (end, span) = (f64::from(conditions.seconds()), f64::from(conditions.stretch_s));
    let stretches: Vec<_> =
        conditions.stretches.iter().zip((0_u32..).map(|index| f64::from(index) * span)).collect();
    let marks: Vec<(f64, String)> =
        stretches.iter().map(|(stretch, at_s)| (*at_s, stretch.name.clone())).collect();
    // A step function of the stretches.
    let steps = |of: fn(&super::Stretch) -> f64| -> Vec<(f64, f64)> {
        stretches
            .iter()
            .flat_map(|(stretch, at_s)| [(*at_s, of(stretch)), (at_s + span, of(stretch))])
            .collect()
    };
    let highest =
        |of: fn(&super::Stretch) -> f64| stretches.iter().map(|(stretch, _)| of(stretch)).fold(0.0, f64::max);
    let rtt_top = runs
        .iter()
        .flat_map(|run| &run.ping_rtt_ms)
        .map(|point| point.value)
        .fold(highest(super::Stretch::base_rtt_ms), f64::max);

    for (run, area) in runs.iter().zip(root.split_evenly((1, runs.len().max(1)))) {
        let (title, body) = area.split_vertically(TITLE);
        let (width, _) = body.dim_in_pixel();
        title.draw_text(run.mode.name(), &style(20, DARK, HPos::Center), (width as i32 / 2 + 20, 17))?;
        let mut swaps = marks.clone();
        swaps.extend(run.generations.iter().skip(1).map(|point| (point.at_s, String::new())));
        let panels = [
            (
                Panel {
                    label: "reward of a second",
                    top: 1.05,
                    reference: vec![(0.0, 1.0), (end, 1.0)],
                    series: vec![(ORANGE, &run.live_reward[..]), (BLUE, &run.reward)],
                    marks: swaps,
                },
                [
                    ("seen from outside", BLUE, false),
                    ("Weir's own", ORANGE, false),
                    ("best there is", DARK, true),
                ],
            ),
            (
                Panel {
                    label: "delivered by the link, Mb/s",
                    top: highest(|stretch| stretch.settings.rate_bps.unwrap_or_default() as f64 / 1e6) * 1.15,
                    reference: steps(|stretch| stretch.settings.rate_bps.unwrap_or_default() as f64 / 1e6),
                    series: vec![(BLUE, &run.rate_mbps)],
                    marks: marks.clone(),
                },
                [("all flows", BLUE, false), ("", WHITE, false), ("link's rate", DARK, true)],
            ),
            (
                Panel {
                    label: "echo, ms",
                    top: rtt_top * 1.08,
                    reference: steps(super::Stretch::base_rtt_ms),
                    series: vec![(ORANGE, &run.ping_rtt_ms)],
                    marks: marks.clone(),
                },
                [("ping", ORANGE, false), ("", WHITE, false), ("empty link", DARK, true)],
            ),
        ];
        for ((content, legend), area) in panels.iter().zip(body.split_evenly((3, 1))) {
            panel(&area, end, content, legend)?;
        }
    }
    Ok(())
}
