//! A learning curve: how good what is trained is over what it has learned from, with its standard error.

use plotters::prelude::*;
use std::error::Error;

const SIZE: (u32, u32) = (720, 400);
const FONT: &str = "sans-serif";
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);

/// Draws the curve as SVG through these points of x, y and y's standard error; `axes` says what x and y are.
///
/// # Errors
/// The figure cannot be drawn.
pub fn draw(title: &str, axes: [&str; 2], points: &[(f64, f64, f64)]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let end = points.last().map_or(1.0, |point| point.0);
        let low = points.iter().map(|p| p.1 - p.2).fold(f64::INFINITY, f64::min).min(0.0);
        let high = points.iter().map(|p| p.1 + p.2).fold(low + 0.1, f64::max);
        let mut chart = ChartBuilder::on(&root)
            .caption(title, (FONT, 16))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..end, low..high + 0.05 * (high - low))?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .x_desc(axes[0])
            .y_desc(axes[1])
            .label_style((FONT, 13))
            .draw()?;
        let band =
            points.iter().map(|p| (p.0, p.1 + p.2)).chain(points.iter().rev().map(|p| (p.0, p.1 - p.2)));
        chart.draw_series([Polygon::new(band.collect::<Vec<_>>(), BLUE.mix(0.15))])?;
        let line = points.iter().map(|p| (p.0, p.1));
        chart.draw_series(LineSeries::new(line, BLUE.stroke_width(2)))?;
        root.present()?;
    }
    Ok(svg)
}
