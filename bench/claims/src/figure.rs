//! Reward over decisions, one line per run.

use crate::experiment::{RunResult, Stage};
use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (1_200, 480);
const FONT: &str = "sans-serif";
const FROZEN: RGBColor = RGBColor(0xd9, 0x6c, 0x06);
const ADAPTED: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);

/// Draws frozen and adapted runs into an SVG file.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(path: &Path, stages: &[Stage], frozen: &[RunResult], adapted: &[RunResult]) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    let done = paint(&root, stages, frozen, adapted)
        .and_then(|()| root.present().map_err(|error| anyhow!("{error}")));
    done.with_context(|| format!("cannot draw {}", path.display()))
}

/// Points of a run: thousands of decisions, mean reward.
fn points(stages: &[Stage], run: &RunResult) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    let mut from = 0.0;
    for (stage, result) in stages.iter().zip(&run.stages) {
        let span = stage.decisions as f64 / 1e3;
        let each = span / result.curve.len().max(1) as f64;
        points.extend(
            result
                .curve
                .iter()
                .zip(0_u32..)
                .map(|(reward, at)| (from + (f64::from(at) + 0.5) * each, *reward)),
        );
        from += span;
    }
    points
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    stages: &[Stage],
    frozen: &[RunResult],
    adapted: &[RunResult],
) -> Result<()> {
    root.fill(&WHITE)?;
    let end: f64 = stages.iter().map(|stage| stage.decisions as f64 / 1e3).sum();
    let mut chart = ChartBuilder::on(root)
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..end, 0.0..1.05)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.08))
        .x_desc("decisions, thousands")
        .y_desc("mean reward")
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    let mut from = 0.0;
    for stage in stages {
        chart.draw_series(LineSeries::new([(from, 0.0), (from, 1.05)], GREY.stroke_width(1)))?;
        let name = EmptyElement::at((from, 1.05))
            + Text::new(stage.name, (6, 4), (FONT, 14).into_font().color(&GREY));
        chart.draw_series([name])?;
        from += stage.decisions as f64 / 1e3;
    }
    for (name, colour, runs) in [("frozen", FROZEN, frozen), ("adapted", ADAPTED, adapted)] {
        for (run, first) in runs.iter().zip([true].into_iter().chain(std::iter::repeat(false))) {
            let line = chart.draw_series(LineSeries::new(points(stages, run), colour.stroke_width(2)))?;
            if first {
                line.label(name)
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            }
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .border_style(GREY)
        .background_style(WHITE)
        .label_font((FONT, 14))
        .draw()?;
    Ok(())
}
