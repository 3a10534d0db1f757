//! The learning curve: reward of the policy without noise over decisions, with its standard error.

use super::Point;
use plotters::prelude::*;
use std::error::Error;

const SIZE: (u32, u32) = (720, 400);
const FONT: &str = "sans-serif";
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);

/// Draws the curve as SVG.
///
/// # Errors
/// The figure cannot be drawn.
pub(super) fn draw(title: &str, points: &[Point]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let end = points.last().map_or(1.0, |point| point.steps as f64 / 1e6);
        let low = points.iter().map(|p| p.reward - p.error).fold(f64::INFINITY, f64::min).min(0.0);
        let high = points.iter().map(|p| p.reward + p.error).fold(low + 0.1, f64::max);
        let mut chart = ChartBuilder::on(&root)
            .caption(title, (FONT, 16))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..end, low..high + 0.05 * (high - low))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc("decisions, millions")
            .y_desc("reward, selection set")
            .label_style((FONT, 13))
            .draw()?;
        let band = points
            .iter()
            .map(|p| (p.steps as f64 / 1e6, p.reward + p.error))
            .chain(points.iter().rev().map(|p| (p.steps as f64 / 1e6, p.reward - p.error)));
        chart.draw_series([Polygon::new(band.collect::<Vec<_>>(), BLUE.mix(0.15))])?;
        let line = points.iter().map(|p| (p.steps as f64 / 1e6, p.reward));
        chart.draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?;
        root.present()?;
    }
    Ok(svg)
}
