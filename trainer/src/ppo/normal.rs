//! Centre and spread of a network's inputs.
//!
//! Features lie close to 0 and 1 with small differences that matter; gradient descent wants inputs of about unit size around
//! zero. So networks are trained on `(x - centre) / spread`, and what is shipped has both folded into its first layer:
//!
//! ```text
//! W' = W / spread      b' = b - W (centre / spread)
//! ```
//!
//! [`Normal::unfold`] goes the other way, so that a shipped network is tuned as it was trained.

use crate::network::Network;
use weir_features::{FEATURES, INPUTS, ONE};

/// Centre and spread of the features, in the order of [`weir_features::PacingSpec::FEATURES`]. The spreads are a quarter of
/// half the clip: wide for the data, but then one quantised step is worth the same in every feature.
const FEATURE: [(f32, f32); FEATURES] = [(0.0, 0.125), (1.2, 0.25), (1.1, 0.1875)];
/// Of each part of a preference, whose three parts add up to 1.
const PREFERENCE: (f32, f32) = (1.0 / 3.0, 0.25);

/// Centre and spread of each input of a pacing network.
#[derive(Debug, Clone, PartialEq)]
pub struct Normal(Vec<(f32, f32)>);

impl Normal {
    /// Of the 30 features.
    pub fn features() -> Self {
        Self((0..INPUTS).map(|i| FEATURE[i % FEATURES]).collect())
    }

    /// Of the 30 features and three parts of a preference.
    pub fn preference() -> Self {
        let mut all = Self::features();
        all.0.extend([PREFERENCE; 3]);
        all
    }

    /// Inputs that this is of.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is of none; never.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a network's normalised inputs: of features in 1/65536, then of what else it takes.
    pub fn push(&self, features: &[i32; INPUTS], rest: &[f32], row: &mut Vec<f32>) {
        let bare = features.iter().map(|&x| x as f32 / ONE as f32).chain(rest.iter().copied());
        row.extend(bare.zip(&self.0).map(|(x, (centre, spread))| (x - centre) / spread));
    }

    /// The network on bare inputs that is `network` on normalised ones. Of another width it comes back as it is.
    #[must_use]
    pub fn fold(&self, network: &Network) -> Network {
        network.rescaled(self.pairs().map(|(centre, spread)| (1.0 / spread, -centre / spread)))
    }

    /// The network on normalised inputs that is `network` on bare ones.
    #[must_use]
    pub fn unfold(&self, network: &Network) -> Network {
        network.rescaled(self.pairs().map(|(centre, spread)| (spread, centre)))
    }

    fn pairs(&self) -> impl ExactSizeIterator<Item = (f64, f64)> + Clone {
        self.0.iter().map(|&(centre, spread)| (f64::from(centre), f64::from(spread)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Activation, Layer, Output};
    use crate::rng::Rng;

    fn network(inputs: usize, rng: &mut Rng) -> Network {
        let weights = (0..2 * inputs).map(|_| rng.normal()).collect();
        let layer =
            Layer { inputs, outputs: 2, weights, bias: vec![0.5, -0.25], activation: Activation::Tanh };
        Network { layers: vec![layer], output: Output::Linear }
    }

    #[test]
    fn folding_changes_the_inputs_and_not_the_function() {
        let mut rng = Rng::new(5);
        for normal in [Normal::features(), Normal::preference()] {
            let trained = network(normal.len(), &mut rng);
            let shipped = normal.fold(&trained);
            let features: [i32; INPUTS] = std::array::from_fn(|_| rng.below(3 * ONE as usize) as i32);
            let rest = [0.6, 0.3, 0.1];
            let rest = &rest[..normal.len() - INPUTS];
            let mut row = Vec::new();
            normal.push(&features, rest, &mut row);
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let bare: Vec<f64> = features
                .iter()
                .map(|&x| f64::from(x) / f64::from(ONE))
                .chain(rest.iter().map(|&x| f64::from(x)))
                .collect();
            let (expected, found) = (trained.evaluate(&row), shipped.evaluate(&bare));
            assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5), "{expected:?} {found:?}");
            let back = normal.unfold(&shipped).evaluate(&row);
            assert!(expected.iter().zip(&back).all(|(a, b)| (a - b).abs() < 1e-9), "{expected:?} {back:?}");
        }
    }

    #[test]
    fn a_network_of_another_width_is_left_alone() {
        let other = network(7, &mut Rng::new(1));
        assert_eq!(Normal::features().fold(&other), other);
    }
}
