//! Means, their intervals, percentiles, fairness.

/// Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom (any table); beyond, the normal's.
const STUDENT_95: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
const NORMAL_95: f64 = 1.960;

/// A mean and how far it may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Half the width of its 95 % confidence interval; `None` of fewer than two values.
    pub half_width: Option<f64>,
    /// Values.
    pub count: usize,
}

impl Estimate {
    /// Of independent values. Values that are no numbers are left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Estimate {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let count = values.len();
        let n = count as f64;
        let mean = if count == 0 { f64::NAN } else { values.iter().sum::<f64>() / n };
        let half_width = (count >= 2).then(|| {
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
            let quantile = STUDENT_95.get(count - 2).copied().unwrap_or(NORMAL_95);
            quantile * (variance / n).sqrt()
        });
        Estimate { mean, half_width, count }
    }

    /// Of the differences `a - b` of values that belong to each other, such as those of one seed.
    pub fn paired(a: &[f64], b: &[f64]) -> Estimate {
        Estimate::of(a.iter().zip(b).map(|(a, b)| a - b))
    }

    /// The interval, where there is one.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.half_width.map(|half| (self.mean - half, self.mean + half))
    }

    /// Whether zero lies outside of the interval.
    pub fn excludes_zero(&self) -> bool {
        self.interval().is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// The value that a share of all do not exceed (nearest rank); NaN of none.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1).min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The mean; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation around the mean; NaN of none.
pub fn deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|v| (v - centre) * (v - centre)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Jain's index of shares: 1 where all are equal, 1/n where one has all.
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    if squares > 0.0 { sum * sum / (shares.len() as f64 * squares) } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_students() {
        // Mean 3, standard error sqrt(2.5 / 5), four degrees of freedom.
        let found = Estimate::of([1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!((found.mean, found.count), (3.0, 5));
        assert!((found.half_width.unwrap() - 2.776 * (0.5_f64).sqrt()).abs() < 1e-12);
        assert!(found.excludes_zero());
        assert!(!Estimate::paired(&[1.0, 2.0], &[2.0, 1.0]).excludes_zero());
        assert_eq!(Estimate::of([4.0]).half_width, None);
    }

    #[test]
    fn ranks_and_shares() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((percentile(&mut values, 0.99), percentile(&mut values, 0.5)), (99.0, 50.0));
        assert!(percentile(&mut [], 0.5).is_nan());
        assert_eq!((jain(&[2.0, 2.0]), jain(&[1.0, 0.0])), (1.0, 0.5));
        assert_eq!(deviation(&[1.0, 3.0]), 1.0);
    }
}
