//! The demo's figure: one column per scheme, the delivered rate above, the round trip below, both over time.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::Point;
use crate::trial::{Conditions, Trial};

pub(crate) const COLUMN: u32 = 360;
const HEIGHT: u32 = 720;
/// Room for the columns' titles and for the legends between and below the panels.
pub(crate) const TITLE: u32 = 34;
pub(crate) const LEGEND: u32 = 30;
const FONT: &str = "sans-serif";

pub(crate) const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
pub(crate) const ORANGE: RGBColor = RGBColor(0xd9, 0x6c, 0x06);
const GREY: RGBColor = RGBColor(0x77, 0x77, 0x77);
pub(crate) const DARK: RGBColor = RGBColor(0x22, 0x22, 0x22);

pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// One panel's content: axes shared by all columns, so that they compare at a glance.
pub(crate) struct Panel<'a> {
    pub(crate) label: &'a str,
    pub(crate) top: f64,
    /// Dashed: what the link allows.
    pub(crate) reference: Vec<(f64, f64)>,
    /// Coloured series, first at the bottom.
    pub(crate) series: Vec<(RGBColor, &'a [Point])>,
    /// When something changes, and what.
    pub(crate) marks: Vec<(f64, String)>,
}

/// Draws the trials into an SVG file.
///
/// # Errors
/// The file cannot be written.
pub fn draw(path: &Path, conditions: &Conditions, trials: &[Trial]) -> Result<()> {
    let width = COLUMN * trials.len().max(1) as u32;
    let root = SVGBackend::new(path, (width, HEIGHT)).into_drawing_area();
    let done =
        paint(&root, conditions, trials).and_then(|()| root.present().map_err(|error| anyhow!("{error}")));
    done.with_context(|| format!("cannot draw {}", path.display()))
}

fn paint(root: &Area<'_>, conditions: &Conditions, trials: &[Trial]) -> Result<()> {
    root.fill(&WHITE)?;
    let (end, change) = (f64::from(conditions.seconds), conditions.change_at_s());
    let first = conditions.settings.rate_bps.unwrap_or(0) as f64 / 1e6;
    let later = conditions.rate_after_bps as f64 / 1e6;
    let base = conditions.base_rtt_ms();
    let rtt_top = trials
        .iter()
        .flat_map(|trial| trial.tcp_rtt_ms.iter().chain(&trial.ping_rtt_ms))
        .map(|point| point.value)
        .fold(base, f64::max);

    for (trial, area) in trials.iter().zip(root.split_evenly((1, trials.len().max(1)))) {
        let (title, body) = area.split_vertically(TITLE);
        let (width, height) = body.dim_in_pixel();
        title.draw_text(trial.scheme.title(), &style(20, DARK, HPos::Center), (width as i32 / 2 + 20, 17))?;
        let (upper, lower) = body.split_vertically(height / 2);
        panel(
            &upper,
            end,
            &Panel {
                marks: vec![(change, "link changes".to_owned())],
                label: "rate delivered by the link, Mb/s",
                top: first.max(later) * 1.15,
                reference: vec![(0.0, first), (change, first), (change, later), (end, later)],
                series: vec![(BLUE, &trial.rate_mbps)],
            },
            &[("delivered, all flows", BLUE, false), ("link's rate", DARK, true)],
        )?;
        panel(
            &lower,
            end,
            &Panel {
                marks: vec![(change, "link changes".to_owned())],
                label: "round trip, ms",
                top: rtt_top * 1.08,
                reference: vec![(0.0, base), (end, base)],
                series: vec![(ORANGE, &trial.ping_rtt_ms), (BLUE, &trial.tcp_rtt_ms)],
            },
            &[("TCP's own", BLUE, false), ("ping", ORANGE, false), ("empty link", DARK, true)],
        )?;
    }
    Ok(())
}

pub(crate) fn panel(
    area: &Area<'_>,
    end: f64,
    panel: &Panel<'_>,
    legend: &[(&str, RGBColor, bool)],
) -> Result<()> {
    let (_, height) = area.dim_in_pixel();
    let (plot, below) = area.split_vertically(height - LEGEND);
    let mut chart = ChartBuilder::on(&plot)
        .margin_right(14)
        .margin_top(6)
        .x_label_area_size(38)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..end, 0.0..panel.top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.08))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| {
            if panel.top > 3.0 { format!("{value:.0}") } else { format!("{value:.1}") }
        })
        .x_desc("time, s")
        .y_desc(panel.label)
        .label_style((FONT, 13))
        .axis_desc_style((FONT, 14))
        .draw()?;
    for (at_s, what) in &panel.marks {
        chart.draw_series(LineSeries::new([(*at_s, 0.0), (*at_s, panel.top)], GREY.stroke_width(1)))?;
        let text = EmptyElement::at((*at_s, panel.top))
            + Text::new(what.clone(), (5, 4), style(12, GREY, HPos::Left));
        chart.draw_series([text])?;
    }
    for (colour, points) in &panel.series {
        let line = points
            .iter()
            .filter(|point| (0.0..=end).contains(&point.at_s))
            .map(|point| (point.at_s, point.value));
        chart.draw_series(LineSeries::new(line, colour.stroke_width(1)))?;
    }
    chart.draw_series(DashedLineSeries::new(panel.reference.iter().copied(), 6, 4, DARK.stroke_width(1)))?;
    keys(&below, legend)
}

/// A sample of each line and its name, in a row under the panel.
fn keys(area: &Area<'_>, legend: &[(&str, RGBColor, bool)]) -> Result<()> {
    let mut x = 60;
    for (name, colour, dashed) in legend {
        let pieces: &[(i32, i32)] = if *dashed { &[(0, 6), (10, 16)] } else { &[(0, 18)] };
        for (from, to) in pieces {
            area.draw(&PathElement::new(vec![(x + from, 10), (x + to, 10)], colour.stroke_width(2)))?;
        }
        area.draw_text(name, &style(13, DARK, HPos::Left), (x + 24, 10))?;
        // About 7 pixels a letter at this size.
        x += 24 + 7 * name.len() as i32 + 16;
    }
    Ok(())
}

pub(crate) fn style<'a>(size: u32, colour: RGBColor, horizontal: HPos) -> TextStyle<'a> {
    (FONT, size).into_font().color(&colour).pos(Pos::new(horizontal, VPos::Center))
}
