//! Tables of flow sizes: what experiments draw from, what priorities are parted by, what size predictors learn on.

use crate::rng::Rng;

/// A cumulative distribution of flow sizes, linear between its points.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// Bytes and the share of flows that are no larger; neither ever falls, the last share is 1.
    points: Vec<(f64, f64)>,
}

/// A table of sizes that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizesError {
    /// A line is not two numbers.
    #[error(
        "line {line}: expected a size in bytes, a comma and a share such as \"10000,0.15\", found {found:?}"
    )]
    Row {
        /// Which, from 1.
        line: usize,
        /// What it says.
        found: String,
    },
    /// Sizes or shares fall.
    #[error("line {line}: expected sizes and shares to rise from line to line, shares from 0 to 1")]
    Order {
        /// Which, from 1.
        line: usize,
    },
    /// It does not end at 1.
    #[error("expected at least two rows, of which the last has share 1")]
    End,
}

impl Sizes {
    /// Reads a table: `bytes,share` in each line. A first line without numbers, empty lines and what follows a `#` are left
    /// out. Sizes beyond `cap` count as that.
    ///
    /// # Errors
    /// [`SizesError`].
    pub fn parse(text: &str, cap: Option<u64>) -> Result<Sizes, SizesError> {
        let (mut points, mut header) = (Vec::<(f64, f64)>::new(), true);
        for (at, line) in text.lines().enumerate() {
            let line_number = at + 1;
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let row = line.split_once(',').and_then(|(bytes, share)| {
                Some((bytes.trim().parse::<f64>().ok()?, share.trim().parse::<f64>().ok()?))
            });
            let Some((bytes, share)) = row else {
                if std::mem::replace(&mut header, false) {
                    continue;
                }
                return Err(SizesError::Row { line: line_number, found: line.to_owned() });
            };
            header = false;
            let bytes = cap.map_or(bytes, |cap| bytes.min(cap as f64));
            let (before_bytes, before_share) = points.last().copied().unwrap_or((0.0, 0.0));
            let rises = bytes >= before_bytes && share >= before_share && share <= 1.0 && bytes.is_finite();
            if !rises {
                return Err(SizesError::Order { line: line_number });
            }
            points.push((bytes, share));
        }
        if points.len() < 2 || points.last().is_none_or(|last| last.1 < 1.0) {
            return Err(SizesError::End);
        }
        Ok(Sizes { points })
    }

    /// Bytes and share of each point.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }

    /// The size that a share of flows does not exceed; at least a byte.
    pub fn quantile(&self, share: f64) -> u64 {
        let at = self.points.partition_point(|(_, known)| *known < share);
        let (high, high_share) = self.points.get(at).or(self.points.last()).copied().unwrap_or((1.0, 1.0));
        let (low, low_share) =
            at.checked_sub(1).and_then(|at| self.points.get(at)).copied().unwrap_or((high, high_share));
        let within =
            if high_share > low_share { (share - low_share) / (high_share - low_share) } else { 1.0 };
        ((low + (high - low) * within.clamp(0.0, 1.0)) as u64).max(1)
    }

    /// The mean size.
    pub fn mean(&self) -> f64 {
        let first = self.points.first().map_or(0.0, |(bytes, share)| bytes * share);
        let between = |pair: &[(f64, f64)]| (pair[1].1 - pair[0].1) * (pair[0].0 + pair[1].0) / 2.0;
        first + self.points.windows(2).map(between).sum::<f64>()
    }

    /// A random size.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        self.quantile(rng.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB_SEARCH: &str = include_str!("../../conf/workloads/web-search.csv");
    const DATA_MINING: &str = include_str!("../../conf/workloads/data-mining.csv");
    const WEB_SERVER: &str = include_str!("../../conf/workloads/web-server.csv");

    #[test]
    fn tables_have_their_published_means_and_draws_follow_them() {
        let web = Sizes::parse(WEB_SEARCH, None).unwrap();
        assert!((web.mean() / 1.71e6 - 1.0).abs() < 0.01, "{}", web.mean());
        assert!((web.quantile(0.54) as f64 - 1e5).abs() < 3e4, "{}", web.quantile(0.54));
        assert_eq!((web.quantile(0.0), web.quantile(0.2), web.quantile(1.0)), (1, 20_000, 30_000_000));
        assert!(web.quantile(0.175).abs_diff(15_000) <= 1, "{}", web.quantile(0.175));
        let mining = Sizes::parse(DATA_MINING, None).unwrap();
        assert!((mining.mean() / 12.7e6 - 1.0).abs() < 0.02, "{}", mining.mean());
        let capped = Sizes::parse(DATA_MINING, Some(100_000_000)).unwrap();
        assert!(capped.mean() < mining.mean() && capped.quantile(1.0) == 100_000_000);
        let server = Sizes::parse(WEB_SERVER, None).unwrap();
        assert!((server.mean() / 62.2e3 - 1.0).abs() < 0.02, "{}", server.mean());
        let mut rng = Rng::new(1);
        let drawn: f64 = (0..100_000).map(|_| web.draw(&mut rng) as f64).sum::<f64>() / 1e5;
        assert!((drawn / web.mean() - 1.0).abs() < 0.03, "{drawn}");
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        let error = |text| Sizes::parse(text, None).unwrap_err();
        assert_eq!(error("bytes,cdf\n1;0\n"), SizesError::Row { line: 2, found: "1;0".to_owned() });
        assert_eq!(
            error("# so\nbytes,cdf\nbytes,cdf\n"),
            SizesError::Row { line: 3, found: "bytes,cdf".to_owned() }
        );
        assert_eq!(error("bytes,cdf\n5,0.5\n4,1\n"), SizesError::Order { line: 3 });
        assert_eq!(error("5,0.5\n6,NaN\n"), SizesError::Order { line: 2 });
        assert_eq!(error("bytes,cdf\n5,0.5 # half\n6,0.9\n"), SizesError::End);
        assert_eq!(error(""), SizesError::End);
    }
}
