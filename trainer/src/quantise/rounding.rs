//! Weights of one output channel rounded together: what rounding one takes, its neighbours give back.
//!
//! Inputs of a layer go together: ten intervals of one flow are much alike, and so are hidden values. An error of one weight can
//! then be made good by another. Over rows `i` of quantised inputs `q_i`, with `u_i = q_i - q_reference`, a channel's integers `w`
//! are to give back the float network's sums `t_i` (about the reference too, where the bias makes both equal):
//!
//! ```text
//! minimise over integers w:  sum_i (u_i . w - t_i)^2 + ridge sum_j (w_j - exact_j)^2
//! ```
//!
//! By coordinate descent from plain rounding: each weight in turn goes to the integer that is best while the others stay (Nair and
//! Suggala, CDQuant, arXiv 2406.17542). `q_i` are what the integer layers before give, so that a layer also makes good some of what
//! those have lost. The ridge keeps weights that no row tells of near their exact values.

/// Ridge over the mean of the squares' diagonal.
const RIDGE: f64 = 0.01;
/// Passes over a channel's weights, at most; most settle within four.
const PASSES_MAX: usize = 16;

/// What a layer's rows say of its inputs: the same for all its channels.
pub(super) struct Rounding {
    /// `u_i`, row by row.
    rows: Vec<Vec<f64>>,
    /// `sum_i u_i u_i^T`, with the ridge on its diagonal.
    squares: Vec<Vec<f64>>,
    ridge: f64,
}

impl Rounding {
    /// From rows of quantised inputs, and those of the reference; `None` without rows.
    pub(super) fn new(coded: &[Vec<f64>], reference: &[f64]) -> Option<Rounding> {
        if coded.is_empty() {
            return None;
        }
        let about = |row: &Vec<f64>| row.iter().zip(reference).map(|(q, at)| q - at).collect();
        let rows: Vec<Vec<f64>> = coded.iter().map(about).collect();
        let width = reference.len();
        let mut squares = vec![vec![0.0; width]; width];
        for row in &rows {
            for (line, a) in squares.iter_mut().zip(row) {
                line.iter_mut().zip(row).for_each(|(square, b)| *square += a * b);
            }
        }
        let trace: f64 = squares.iter().enumerate().map(|(at, line)| line[at]).sum();
        // Never nothing: a layer whose inputs never move keeps plain rounding.
        let ridge = (RIDGE * trace / width.max(1) as f64).max(f64::MIN_POSITIVE);
        squares.iter_mut().enumerate().for_each(|(at, line)| line[at] += ridge);
        Some(Rounding { rows, squares, ridge })
    }

    /// Integers for a channel of these exact weights, none larger than `largest`. `targets` are its sums in the float network,
    /// about the reference's, in units of the accumulator.
    pub(super) fn round(&self, exact: &[f64], targets: &[f64], largest: f64) -> Vec<f64> {
        let mut weights: Vec<f64> = exact.iter().map(|w| w.round()).collect();
        // Half the gradient, negated.
        let mut pull: Vec<f64> = exact.iter().map(|w| self.ridge * w).collect();
        for (row, target) in self.rows.iter().zip(targets) {
            pull.iter_mut().zip(row).for_each(|(pull, u)| *pull += u * target);
        }
        for (line, weight) in self.squares.iter().zip(&weights) {
            pull.iter_mut().zip(line).for_each(|(pull, square)| *pull -= square * weight);
        }
        for _ in 0..PASSES_MAX {
            let mut settled = true;
            for (at, line) in self.squares.iter().enumerate() {
                let best = (weights[at] + pull[at] / line[at]).round().clamp(-largest, largest);
                let change = best - weights[at];
                if change != 0.0 {
                    settled = false;
                    weights[at] = best;
                    pull.iter_mut().zip(line).for_each(|(pull, square)| *pull -= square * change);
                }
            }
            if settled {
                break;
            }
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn loss(rows: &[Vec<f64>], exact: &[f64], weights: &[f64]) -> f64 {
        let error = |row: &Vec<f64>| -> f64 {
            row.iter().zip(exact.iter().zip(weights)).map(|(q, (w, rounded))| q * (w - rounded)).sum()
        };
        rows.iter().map(|row| error(row).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn inputs_that_go_together_share_what_rounding_takes() {
        let mut rng = Rng::new(4);
        let (mut apart, mut shared) = (0.0, 0.0);
        for _ in 0..20 {
            let rows: Vec<Vec<f64>> = (0..200)
                .map(|_| {
                    let level = rng.uniform(-100.0, 100.0);
                    (0..10).map(|_| level + rng.uniform(-50.0, 50.0)).collect()
                })
                .collect();
            let exact: Vec<f64> = (0..10).map(|_| rng.uniform(-20.0, 20.0)).collect();
            let targets: Vec<f64> =
                rows.iter().map(|row| row.iter().zip(&exact).map(|(q, w)| q * w).sum()).collect();
            let together = Rounding::new(&rows, &[0.0; 10]).unwrap().round(&exact, &targets, 127.0);
            assert!(
                together.iter().zip(&exact).all(|(w, exact)| w.fract() == 0.0 && (w - exact).abs() < 2.0)
            );
            let plain: Vec<f64> = exact.iter().map(|w| w.round()).collect();
            let (plain, together) = (loss(&rows, &exact, &plain), loss(&rows, &exact, &together));
            assert!(together <= 1.01 * plain, "{together} against {plain}");
            (apart, shared) = (apart + plain, shared + together);
        }
        assert!(shared < 0.8 * apart, "{shared} against {apart}");
    }

    #[test]
    fn what_no_row_tells_of_is_rounded_plainly_and_nothing_leaves_its_range() {
        let exact = [2.4, -3.6, 127.0];
        // Both never move; the third is to be larger than it may.
        let rows = vec![vec![0.0, 0.0, 1.0], vec![0.0, 0.0, -1.0]];
        let rounding = Rounding::new(&rows, &[0.0; 3]).unwrap();
        assert_eq!(rounding.round(&exact, &[140.0, -140.0], 127.0), [2.0, -4.0, 127.0]);
        let still = Rounding::new(&[vec![5.0; 3]], &[5.0; 3]).unwrap();
        assert_eq!(still.round(&exact, &[0.0], 127.0), [2.0, -4.0, 127.0]);
        assert!(Rounding::new(&[], &[0.0; 3]).is_none());
    }
}
