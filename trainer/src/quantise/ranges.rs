//! The range of every value inside a network: what its integers must be able to hold.

use crate::network::{Activation, Layer, Network};

/// Share of calibration values that may lie beyond either end of a range and be clipped.
const CLIPPED_SHARE: f64 = 0.001;

/// Smallest and largest value, per element.
pub type Ranges = Vec<(f64, f64)>;

/// Ranges of one layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerRange {
    /// Of the weighted sums.
    pub sums: Ranges,
    /// Behind the activation.
    pub values: Ranges,
}

/// Bounds that hold for every input within `inputs` (interval arithmetic). Never too narrow, often too wide.
pub fn bounds(network: &Network, inputs: &Ranges) -> Vec<LayerRange> {
    let mut values = inputs.clone();
    let mut ranges = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let sums: Ranges = interval_sums(layer, &values);
        values = sums.iter().map(|&range| interval_activation(layer.activation, range)).collect();
        ranges.push(LayerRange { sums, values: values.clone() });
    }
    ranges
}

/// What `rows` of network inputs reach, without the outermost 0.1 % at either end: a few extreme rows would otherwise
/// coarsen the steps of all.
pub fn calibrate(network: &Network, rows: &[Vec<f64>]) -> Vec<LayerRange> {
    let mut values = rows.to_vec();
    let mut ranges = Vec::with_capacity(network.layers.len());
    for layer in &network.layers {
        let sums: Vec<Vec<f64>> = values.iter().map(|row| layer.sums(row)).collect();
        values = sums.iter().map(|row| row.iter().map(|&z| layer.activation.apply(z)).collect()).collect();
        ranges.push(LayerRange { sums: percentiles(&sums), values: percentiles(&values) });
    }
    ranges
}

fn interval_sums(layer: &Layer, values: &Ranges) -> Ranges {
    let row = |(weights, bias): (&[f64], &f64)| {
        weights.iter().zip(values).fold((*bias, *bias), |(lo, hi), (w, (a, b))| {
            let (p, q) = (w * a, w * b);
            (lo + p.min(q), hi + p.max(q))
        })
    };
    layer.weights.chunks_exact(layer.inputs).zip(&layer.bias).map(row).collect()
}

/// Every activation of the closed set rises with its argument, except a HardSigmoid of negative slope.
fn interval_activation(activation: Activation, (lo, hi): (f64, f64)) -> (f64, f64) {
    let (a, b) = (activation.apply(lo), activation.apply(hi));
    (a.min(b), a.max(b))
}

fn percentiles(rows: &[Vec<f64>]) -> Ranges {
    let width = rows.first().map_or(0, Vec::len);
    let cut = (rows.len() as f64 * CLIPPED_SHARE) as usize;
    let column = |index: usize| {
        let mut values: Vec<f64> = rows.iter().map(|row| row[index]).collect();
        values.sort_by(f64::total_cmp);
        (values[cut], values[values.len() - 1 - cut])
    };
    (0..width).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Output;

    fn network() -> Network {
        Network {
            layers: vec![Layer {
                inputs: 2,
                outputs: 2,
                weights: vec![1.0, -2.0, 0.5, 0.5],
                bias: vec![0.5, -1.0],
                activation: Activation::Relu,
            }],
            output: Output::Linear,
        }
    }

    #[test]
    fn bounds_are_the_corners() {
        let ranges = bounds(&network(), &vec![(-1.0, 1.0), (0.0, 2.0)]);
        assert_eq!(ranges[0].sums, vec![(-4.5, 1.5), (-1.5, 0.5)]);
        assert_eq!(ranges[0].values, vec![(0.0, 1.5), (0.0, 0.5)]);
    }

    #[test]
    fn calibration_leaves_out_the_outermost_rows() {
        let mut rows: Vec<Vec<f64>> = (0..1000).map(|i| vec![f64::from(i) / 1000.0, 0.0]).collect();
        rows.extend([vec![-1e6, 0.0], vec![1e6, 0.0]]);
        let sums = &calibrate(&network(), &rows)[0].sums;
        assert!(sums[0].0 >= 0.5 && sums[0].1 <= 1.5, "{sums:?}");
    }
}
