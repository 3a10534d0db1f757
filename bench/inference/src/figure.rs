//! The figure: one bar per contender, nanoseconds per inference on a logarithmic axis.

use crate::contender::Start;
use crate::report::{Entry, Kind, Report};
use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const WIDTH: i32 = 980;
const NAMES: i32 = 400;
const ROW: i32 = 22;
const TOP: i32 = 64;
const BOTTOM: i32 = 46;
/// Room for the figures right of the longest bar.
const FIGURES: i32 = 90;
const FONT: &str = "sans-serif";

const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const GREY: RGBColor = RGBColor(0x99, 0x99, 0x99);
const DARK: RGBColor = RGBColor(0x22, 0x22, 0x22);

/// Draws competitors (grey) and executors (blue), all from quantised rows, into an SVG file.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn draw(path: &Path, report: &Report) -> Result<()> {
    let executors =
        report.entries.iter().filter(|entry| entry.kind == Kind::Executor && entry.label.start == Start::Row);
    let bars: Vec<&Entry> = report.competitors(Start::Row).into_iter().chain(executors).collect();
    let height = TOP + ROW * bars.len() as i32 + BOTTOM;
    let root = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    paint(&root, report, &bars)
        .and_then(|()| root.present().map_err(|error| anyhow!("{error}")))
        .with_context(|| format!("cannot draw {}", path.display()))
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    report: &Report,
    bars: &[&Entry],
) -> Result<()> {
    root.fill(&WHITE)?;
    let largest = bars.iter().map(|bar| bar.ns.p90).fold(1.0, f64::max);
    let decades = largest.log10().ceil().max(1.0);
    let x = |ns: f64| NAMES + (f64::from(WIDTH - NAMES - FIGURES) * ns.max(1.0).log10() / decades) as i32;
    let bottom = TOP + ROW * bars.len() as i32;
    let title = format!("ns per inference, {}: median, and 10th to 90th of a hundred rounds", report.model);
    root.draw_text(&title, &style(16, HPos::Left), (14, 20))?;
    let machine = format!("{}, kernel {}", report.machine.cpu, report.machine.kernel);
    root.draw_text(&machine, &style(13, HPos::Left), (14, 42))?;
    for decade in 0..=decades as i32 {
        let at = x(10_f64.powi(decade));
        root.draw(&PathElement::new(vec![(at, TOP), (at, bottom)], BLACK.mix(0.15).stroke_width(1)))?;
        root.draw_text(
            &format!("{} ns", 10_i64.pow(decade as u32)),
            &style(12, HPos::Center),
            (at, bottom + 16),
        )?;
    }
    for (at, bar) in bars.iter().enumerate() {
        let top = TOP + ROW * at as i32;
        let middle = top + ROW / 2;
        let colour = if bar.kind == Kind::Executor { BLUE } else { GREY };
        let name = format!("{}, {}, {} a call", bar.label.name, bar.label.numbers, bar.label.rows);
        root.draw_text(&name, &style(12, HPos::Right), (NAMES - 8, middle))?;
        root.draw(&Rectangle::new([(x(1.0), top + 4), (x(bar.ns.p50), top + ROW - 4)], colour.filled()))?;
        root.draw(&PathElement::new(
            vec![(x(bar.ns.p10), middle), (x(bar.ns.p90), middle)],
            DARK.stroke_width(1),
        ))?;
        root.draw_text(&format!("{:.1}", bar.ns.p50), &style(12, HPos::Left), (x(bar.ns.p90) + 6, middle))?;
    }
    Ok(())
}

fn style(size: u32, horizontal: HPos) -> TextStyle<'static> {
    (FONT, size).into_font().color(&DARK).pos(Pos::new(horizontal, VPos::Center))
}
