//! Two figures: where a frame's time goes, and what more flows cost.

use crate::plan::Subject;
use crate::trial::Outcome;
use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const FONT: &str = "sans-serif";
const SIZE: (u32, u32) = (900, 560);
const DARK: RGBColor = RGBColor(0x22, 0x22, 0x22);

/// Stages as the bars show them, from the bottom, and their colours. What the loop does outside a turn comes on top.
const STAGES: [(&str, &str, RGBColor); 9] = [
    ("receive", "receive (source)", RGBColor(0xb8, 0xb8, 0xb8)),
    ("send", "send (source)", RGBColor(0x8c, 0x8c, 0x8c)),
    ("parse", "parse", RGBColor(0x1f, 0x5f, 0xa8)),
    ("look_up", "hash, look up", RGBColor(0x5a, 0x9b, 0xd8)),
    ("acknowledge", "track (ACKs)", RGBColor(0x2e, 0x8b, 0x57)),
    ("pace", "track, pace (data)", RGBColor(0xe0, 0xa0, 0x30)),
    ("release", "wheel", RGBColor(0xc8, 0x78, 0x10)),
    ("decide", "decide, infer", RGBColor(0xb0, 0x30, 0x30)),
    ("keep", "sweep, counters", RGBColor(0x80, 0x60, 0xa0)),
];

/// Room for the peers' names behind the bars, in bars.
const LABELS: f64 = 0.75;

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws nanoseconds by stage for the first group's Weirs, with the peers as lines.
pub(crate) fn stages(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let Some(first) = outcomes.first() else { return Ok(()) };
    let group: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.group == first.group).collect();
    draw(path, |root| paint_stages(root, &group))
}

/// Draws nanoseconds over flows.
pub(crate) fn slope(path: &Path, outcomes: &[Outcome]) -> Result<()> {
    let points: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.slope).collect();
    draw(path, |root| paint_slope(root, &points))
}

fn draw(path: &Path, paint: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    let done = root.fill(&WHITE).map_err(|error| anyhow!("{error}"));
    let done =
        done.and_then(|()| paint(&root)).and_then(|()| root.present().map_err(|error| anyhow!("{error}")));
    done.with_context(|| format!("cannot draw {}", path.display()))
}

fn paint_stages(root: &Area<'_>, group: &[&Outcome]) -> Result<()> {
    let bars: Vec<&&Outcome> = group.iter().filter(|outcome| outcome.subject.is_weir()).collect();
    let mut peers: Vec<&&Outcome> = group.iter().filter(|outcome| !outcome.subject.is_weir()).collect();
    let top = group.iter().map(|outcome| outcome.ns()).fold(10.0, f64::max) * 1.12;
    let (chart_area, legend) = root.split_horizontally(SIZE.0 - 190);
    let mut chart = ChartBuilder::on(&chart_area)
        .caption("Nanoseconds a frame, by stage; lines: the peers' totals", (FONT, 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..bars.len() as f64 + LABELS, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(0)
        .y_desc("ns of processor time per transmitted frame")
        .label_style((FONT, 13))
        .draw()?;
    let centred = (FONT, 13).into_font().color(&DARK).pos(Pos::new(HPos::Center, VPos::Top));
    let white = (FONT, 12).into_font().color(&WHITE).pos(Pos::new(HPos::Center, VPos::Center));
    for (index, outcome) in bars.iter().enumerate() {
        let (left, middle, right) = (index as f64 + 0.22, index as f64 + 0.5, index as f64 + 0.78);
        let mut bottom = 0.0;
        let starts = outcome.inside.len().max(1) as f64;
        let mut block = |height: f64, colour: RGBColor| -> Result<()> {
            let (from, to) = (bottom, bottom + height);
            bottom = to;
            chart.draw_series([Rectangle::new([(left, from), (right, to)], colour.filled())])?;
            if height > top / 45.0 {
                let label = Text::new(format!("{height:.1}"), (middle, (from + to) / 2.0), white.clone());
                chart.draw_series([label])?;
            }
            Ok(())
        };
        let mut known = 0.0;
        for (stage, _, colour) in STAGES {
            let of_stage =
                outcome.inside.iter().flat_map(|inside| &inside.stages).filter(|(name, _)| name == stage);
            let height = of_stage.map(|(_, ns)| ns).sum::<f64>() / starts;
            known += height;
            block(height, colour)?;
        }
        block((outcome.ns() - known).max(0.0), DARK)?;
        let total = format!("{:.1}", outcome.ns());
        let above = (FONT, 14).into_font().color(&DARK).pos(Pos::new(HPos::Center, VPos::Bottom));
        chart.draw_series([Text::new(total, (middle, bottom + top / 100.0), above)])?;
        let name = Text::new(outcome.subject.name(), (middle, 0.0), centred.clone());
        chart.draw_series([name])?;
    }
    peers.sort_by(|a, b| a.ns().total_cmp(&b.ns()));
    let mut free = 0.0;
    for peer in peers {
        let (height, end) = (peer.ns(), bars.len() as f64);
        chart
            .draw_series([PathElement::new([(0.0, height), (end, height)], DARK.mix(0.6).stroke_width(1))])?;
        // Names of peers that cost nearly the same stand above each other.
        let at = height.max(free);
        free = at + top / 30.0;
        let style = (FONT, 13).into_font().color(&DARK).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series([Text::new(
            format!("{} {height:.1}", peer.subject.name()),
            (end + 0.02, at),
            style,
        )])?;
    }
    for (row, (name, colour)) in STAGES
        .iter()
        .map(|(_, name, colour)| (*name, *colour))
        .chain([("loop, clock, rest", DARK)])
        .rev()
        .enumerate()
    {
        let y = 70 + row as i32 * 24;
        legend.draw(&Rectangle::new([(8, y), (24, y + 14)], colour.filled()))?;
        legend.draw(&Text::new(name, (32, y), (FONT, 13).into_font().color(&DARK)))?;
    }
    Ok(())
}

fn paint_slope(root: &Area<'_>, points: &[&Outcome]) -> Result<()> {
    const LINES: [(Subject, RGBColor); 4] = [
        (Subject::L3fwd, RGBColor(0x77, 0x77, 0x77)),
        (Subject::Forward, RGBColor(0x1f, 0x5f, 0xa8)),
        (Subject::Rule, RGBColor(0x2e, 0x8b, 0x57)),
        (Subject::Model, RGBColor(0xb0, 0x30, 0x30)),
    ];
    let flows = |outcome: &Outcome| f64::from(outcome.traffic.flows).log10();
    let right = points.iter().map(|outcome| flows(outcome)).fold(4.0, f64::max) + 0.1;
    let top = points.iter().map(|outcome| outcome.ns()).fold(10.0, f64::max) * 1.1;
    let mut chart = ChartBuilder::on(root)
        .caption("Nanoseconds a frame over the number of flows", (FONT, 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(52)
        .build_cartesian_2d(2.9..right, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc("flows")
        .y_desc("ns of processor time per transmitted frame")
        .x_label_formatter(&|power| format!("{:.0}", 10f64.powf(*power)))
        .x_labels(4)
        .label_style((FONT, 13))
        .draw()?;
    for (subject, colour) in LINES {
        let mut line: Vec<(f64, f64)> = points
            .iter()
            .filter(|outcome| outcome.subject == subject)
            .map(|outcome| (flows(outcome), outcome.ns()))
            .collect();
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        chart
            .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)).point_size(4))?
            .label(subject.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.filled())
        .border_style(DARK)
        .label_font((FONT, 13))
        .draw()?;
    Ok(())
}
