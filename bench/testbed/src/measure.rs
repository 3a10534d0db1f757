//! Numbers from series.

use serde::Serialize;

/// One value at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Seconds after the traffic's start.
    pub at_s: f64,
    /// The value, in the unit of its series.
    pub value: f64,
}

/// Middle and tail.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// The smallest value that at least `share` of the values do not exceed (nearest rank); `None` of none.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Middle and tail of the values in `[from_s, to_s)`; `None` of none.
pub fn spread(points: &[Point], from_s: f64, to_s: f64) -> Option<Spread> {
    let within: Vec<f64> =
        points.iter().filter(|point| (from_s..to_s).contains(&point.at_s)).map(|point| point.value).collect();
    Some(Spread { p50: percentile(&within, 0.5)?, p95: percentile(&within, 0.95)? })
}

/// Jain's index of fairness (Jain, Chiu, Hawe 1984): (sum x)^2 / (n sum x^2). 1 when all are equal, 1/n when one
/// has everything; `None` when nobody has anything.
pub fn jain(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.5), Some(50.0));
        assert_eq!(percentile(&values, 0.95), Some(95.0));
        assert_eq!(percentile(&[7.0], 0.0), Some(7.0));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn a_spread_takes_its_own_time_only() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)].map(|(at_s, value)| Point { at_s, value });
        assert_eq!(spread(&points, 1.0, 2.0), Some(Spread { p50: 2.0, p95: 2.0 }));
        assert_eq!(spread(&points, 5.0, 6.0), None);
    }

    #[test]
    fn fairness_from_all_to_one() {
        assert_eq!(jain(&[3.0, 3.0, 3.0]), Some(1.0));
        assert_eq!(jain(&[9.0, 0.0, 0.0]), Some(1.0 / 3.0));
        assert_eq!(jain(&[0.0, 0.0]), None);
    }
}
