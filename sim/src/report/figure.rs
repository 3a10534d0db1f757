//! Results as a figure: one panel for each figure asked for, bars of means with their intervals, one group for each case.

use super::direction;
use crate::experiment::{Experiment, Results};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;

const PANEL: (u32, u32) = (1_100, 300);
const LEGEND_HEIGHT: u32 = 26;
const FONT: &str = "sans-serif";
/// Distinct also for who sees no red and green: Okabe and Ito's palette, black left for intervals, and four shades more.
const COLOURS: [RGBColor; 12] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0xf0, 0xe4, 0x42),
    RGBColor(0x99, 0x99, 0x99),
    RGBColor(0x00, 0x39, 0x59),
    RGBColor(0x8c, 0x5a, 0x00),
    RGBColor(0x7a, 0xd1, 0xb5),
    RGBColor(0x6b, 0x2e, 0x52),
];

/// A figure that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw {file}: {reason}")]
pub struct DrawError {
    file: String,
    reason: String,
}

/// Draws the first `panels` figures of the results into an SVG file.
///
/// # Errors
/// The file cannot be written.
pub fn draw(path: &Path, experiment: &Experiment, results: &Results, panels: usize) -> Result<(), DrawError> {
    let panels = panels.min(experiment.metrics().len()).max(1);
    let rows = experiment.schemes().len().div_ceil(4) as u32;
    let size = (PANEL.0, PANEL.1 * panels as u32 + 40 + LEGEND_HEIGHT * rows);
    let root = SVGBackend::new(path, size).into_drawing_area();
    let fail = |reason: String| DrawError { file: path.display().to_string(), reason };
    paint(&root, experiment, results, panels).map_err(fail)?;
    root.present().map_err(|error| fail(error.to_string()))
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    experiment: &Experiment,
    results: &Results,
    panels: usize,
) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    root.fill(&WHITE).map_err(|error| told(&error))?;
    let (head, rest) = root.split_vertically(40);
    head.draw(&Text::new(experiment.title.clone(), (14, 12), (FONT, 18))).map_err(|error| told(&error))?;
    let legend_height = LEGEND_HEIGHT * experiment.schemes().len().div_ceil(4) as u32;
    let (body, legend) = rest.split_vertically(PANEL.1 * panels as u32);
    for (metric, area) in body.split_evenly((panels, 1)).iter().enumerate() {
        panel(area, experiment, results, metric)?;
    }
    debug_assert!(legend.dim_in_pixel().1 <= legend_height + 1);
    for (at, name) in experiment.schemes().iter().enumerate() {
        let (x, y) = ((at % 4) as i32 * 265 + 70, (at / 4) as i32 * LEGEND_HEIGHT as i32 + 4);
        let colour = COLOURS[at % COLOURS.len()];
        legend
            .draw(&Rectangle::new([(x, y), (x + 14, y + 14)], colour.filled()))
            .and_then(|()| legend.draw(&Text::new(name.clone(), (x + 20, y), (FONT, 14))))
            .map_err(|error| told(&error))?;
    }
    Ok(())
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    experiment: &Experiment,
    results: &Results,
    metric: usize,
) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| error.to_string();
    let (cases, schemes) = (experiment.cases(), experiment.schemes());
    let estimate = |case: usize, scheme: usize| results.estimate(case, scheme, metric);
    let top = |(case, scheme)| {
        let found = estimate(case, scheme);
        found.mean + found.half_width.unwrap_or(0.0)
    };
    let pairs = || (0..cases.len()).flat_map(|case| (0..schemes.len()).map(move |scheme| (case, scheme)));
    let highest = pairs().map(top).filter(|value| value.is_finite()).fold(0.0, f64::max).max(1e-9) * 1.05;
    let lowest = pairs().map(|(case, scheme)| estimate(case, scheme).mean).fold(0.0, f64::min);
    let shown = &experiment.metrics()[metric];
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(26)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..cases.len() as f64, lowest..highest)
        .map_err(|error| told(&error))?;
    let label = |x: &f64| {
        let case = (x - 0.5).round();
        if (x - 0.5 - case).abs() < 1e-9 {
            cases.get(case as usize).cloned().unwrap_or_default()
        } else {
            String::new()
        }
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(BLACK.mix(0.08))
        .light_line_style(WHITE)
        .x_labels(2 * cases.len() + 1)
        .x_label_formatter(&label)
        .y_desc(format!("{}{}", shown.name, direction(shown.better)))
        .label_style((FONT, 13))
        .draw()
        .map_err(|error| told(&error))?;
    let width = 0.8 / schemes.len().max(1) as f64;
    for (case, scheme) in pairs() {
        let found = estimate(case, scheme);
        if !found.mean.is_finite() {
            continue;
        }
        let left = case as f64 + 0.1 + scheme as f64 * width;
        let bar = [(left, 0.0), (left + 0.9 * width, found.mean)];
        let middle = left + 0.45 * width;
        let colour = COLOURS[scheme % COLOURS.len()];
        let drawn = chart.draw_series([Rectangle::new(bar, colour.filled())]).map(|_| ());
        let spread = found.interval().map_or(Ok(()), |(low, high)| {
            let line = [(middle, low), (middle, high)];
            chart.draw_series(LineSeries::new(line, BLACK.stroke_width(1))).map(|_| ())
        });
        drawn.and(spread).map_err(|error| told(&error))?;
    }
    Ok(())
}
