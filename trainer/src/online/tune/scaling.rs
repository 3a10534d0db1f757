//! Inputs as gradient descent wants them: around zero, of about unit size.
//!
//! Features lie close together within their clips, and the differences are what matters. Learners see
//! `(x - centre) / spread`; what is frozen takes bare inputs again, with both folded into its first layer:
//!
//! ```text
//! W' = W / spread      b' = b - W (centre / spread)
//! ```

use crate::network::Network;
use crate::quantise::InputMap;

/// Spread over the width of the clip: traffic uses a small part of what the clips allow.
const SHARE: f64 = 0.125;

/// Centre and spread of each input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scaling(Vec<(f64, f64)>);

impl Scaling {
    /// Of inputs that are used within their clips.
    pub(super) fn of(inputs: &[InputMap]) -> Self {
        let one = |map: &InputMap| {
            let (a, b) = (map.apply(map.clip[0]), map.apply(map.clip[1]));
            ((a + b) / 2.0, (SHARE * (b - a).abs()).max(f64::MIN_POSITIVE))
        };
        Self(inputs.iter().map(one).collect())
    }

    /// How many inputs there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Rows of bare inputs, one after the other, as learners take them.
    pub(super) fn rows(&self, bare: &[f32]) -> Vec<f32> {
        let scales = self.0.iter().cycle();
        bare.iter()
            .zip(scales)
            .map(|(&x, (centre, spread))| ((f64::from(x) - centre) / spread) as f32)
            .collect()
    }

    /// The network on bare inputs that is `network` on scaled ones.
    pub(super) fn fold(&self, network: &Network) -> Network {
        network.rescaled(self.0.iter().map(|(centre, spread)| (1.0 / spread, -centre / spread)))
    }

    /// The network on scaled inputs that is `network` on bare ones.
    pub(super) fn unfold(&self, network: &Network) -> Network {
        network.rescaled(self.0.iter().map(|&(centre, spread)| (spread, centre)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::gate::tests::{network, terms};

    #[test]
    fn what_is_unfolded_says_the_same_of_scaled_inputs_and_folds_back() {
        let scaling = Scaling::of(&terms().inputs);
        let bare: Vec<f32> = (0..30).map(|at| [0.1, 1.25, 0.875][at % 3]).collect();
        let real = |row: &[f32]| row.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let expected = network(1).evaluate(&real(&bare))[0];
        let unfolded = scaling.unfold(&network(1));
        let found = unfolded.evaluate(&real(&scaling.rows(&bare)))[0];
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        let back = scaling.fold(&unfolded).evaluate(&real(&bare))[0];
        assert!((back - expected).abs() < 1e-9, "{back} {expected}");
    }
}
