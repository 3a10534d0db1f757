//! Prometheus' text format, as far as a scrape of one process needs it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// One scrape: every sample by name and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape(BTreeMap<String, Vec<Sample>>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Scrape {
    /// Reads an exposition.
    ///
    /// # Errors
    /// A line is neither a comment nor a sample.
    pub fn parse(text: &str) -> Result<Scrape> {
        let mut scrape = Scrape::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, sample) = sample(line).with_context(|| format!("not a sample: {line:?}"))?;
            scrape.0.entry(name.to_owned()).or_default().push(sample);
        }
        Ok(scrape)
    }

    /// What of it bears the label `key` with this value.
    #[must_use]
    pub fn only(&self, key: &str, value: &str) -> Scrape {
        let bears = |sample: &&Sample| sample.labels.iter().any(|(k, v)| k == key && v == value);
        let of = |samples: &Vec<Sample>| samples.iter().filter(bears).cloned().collect::<Vec<_>>();
        Scrape(self.0.iter().map(|(name, samples)| (name.clone(), of(samples))).collect())
    }

    /// The sum over all samples of `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn sum(&self, name: &str) -> Result<f64> {
        match self.0.get(name) {
            Some(samples) => Ok(samples.iter().map(|sample| sample.value).sum()),
            None => bail!("no metric {name}"),
        }
    }

    /// The sums of `name` for each value of one label, in the order of the values.
    ///
    /// # Errors
    /// There is no sample of that name.
    pub fn by(&self, name: &str, label: &str) -> Result<BTreeMap<String, f64>> {
        let Some(samples) = self.0.get(name) else { bail!("no metric {name}") };
        let mut sums = BTreeMap::new();
        for sample in samples {
            for (_, value) in sample.labels.iter().filter(|(key, _)| key == label) {
                *sums.entry(value.clone()).or_default() += sample.value;
            }
        }
        Ok(sums)
    }
}

fn sample(line: &str) -> Result<(&str, Sample)> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"").context("a label without a value")?;
            let (value, after) = quoted(after).context("a label without an end")?;
            labels.push((key.trim_start_matches(',').to_owned(), value));
            rest = after;
        }
        rest = &rest[1..];
    }
    // A timestamp may follow the value.
    let value = rest.split_whitespace().next().context("no value")?;
    Ok((name, Sample { labels, value: value.parse()? }))
}

/// Reads up to the closing quote; returns the text and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_by_name_and_label() {
        let text = "# HELP a_total A.\n# TYPE a_total counter\na_total{worker=\"0\",end=\"x\"} 1\n\
                    a_total{worker=\"1\",end=\"x\"} 2\na_total{worker=\"1\",end=\"y \\\"q\\\"}\"} 4.5e1 1700000000\nb 7\n";
        let scrape = Scrape::parse(text).unwrap();
        assert_eq!(scrape.sum("a_total").unwrap(), 48.0);
        assert_eq!(scrape.sum("b").unwrap(), 7.0);
        let by: Vec<_> = scrape.by("a_total", "end").unwrap().into_iter().collect();
        assert_eq!(by, [("x".to_owned(), 3.0), ("y \"q\"}".to_owned(), 45.0)]);
        assert!(scrape.sum("c").is_err());
    }

    #[test]
    fn what_is_no_exposition_is_refused() {
        for text in ["<html>", "a{b=\"c} 1", "a{b} 1", "a", "a x"] {
            assert!(Scrape::parse(text).is_err(), "{text:?}");
        }
    }
}
