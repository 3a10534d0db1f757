//! Weir's metrics over HTTP.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Where the measured Weir listens.
pub(crate) const LISTEN: &str = "127.0.0.1:9476";

/// One scrape: samples by name with labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Asks now.
    pub(crate) fn now() -> Result<Scrape> {
        let mut stream = TcpStream::connect(LISTEN).context("Weir does not answer on its metrics port")?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let samples = page.lines().filter(|line| line.starts_with("weir_")).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(Scrape(samples.collect()))
    }

    /// The sum of all samples of metric `weir_NAME` whose labels contain `label`.
    pub(crate) fn sum(&self, name: &str, label: &str) -> f64 {
        let of_name = |sample: &str| {
            let rest = sample.strip_prefix("weir_").and_then(|rest| rest.strip_prefix(name));
            rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with('{')) && rest.contains(label))
        };
        self.0.iter().filter(|(sample, _)| of_name(sample)).map(|(_, value)| value).sum()
    }

    /// What came in, less what is accounted for: 0 where the books balance.
    pub(crate) fn missing(&self) -> f64 {
        let of = |names: [&str; 3]| names.iter().map(|name| self.sum(name, "")).sum::<f64>();
        of(["received_frames_total", "originated_frames_total", "steered_in_frames_total"])
            - of(["verdicts_total", "held_frames", "steered_out_frames_total"])
    }
}
