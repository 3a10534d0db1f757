//! A Prometheus of the run's own: scrapes Weir, evaluates the shipped alerts, answers queries.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::http::get;
use crate::interrupt::Interrupt;
use crate::netns::Netns;
use crate::process::Process;

/// Inside the namespace; nobody else sees it.
const ADDRESS: &str = "127.0.0.1:9090";
/// An empty database opens in less than a second on a quiet machine.
const START_MAX: Duration = Duration::from_secs(20);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus<'a> {
    process: Process,
    netns: &'a Netns,
}

/// One series of an instant query's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels, as text.
    pub labels: String,
    /// Its value; NaN where the query divides nothing by nothing.
    pub value: f64,
}

/// An alert, as Prometheus has loaded it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its condition.
    pub query: String,
    /// `ok` once it has been evaluated without an error.
    pub health: String,
    /// The error, else empty.
    #[serde(default, rename = "lastError")]
    pub error: String,
    /// `inactive`, `pending` or `firing`.
    pub state: String,
}

impl<'a> Prometheus<'a> {
    /// Starts it with the configuration and the rules in `shipped`, scraping and evaluating every second instead of as
    /// rarely as they say. Its data go to `scratch`.
    ///
    /// # Errors
    /// It is not installed, refuses the configuration, or is not ready in time.
    pub fn start(
        shipped: &Path,
        netns: &'a Netns,
        scratch: &Path,
        cpu: usize,
        interrupt: &Interrupt,
    ) -> Result<Prometheus<'a>> {
        let read = |name: &str| {
            let path = shipped.join(name);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let config = scratch.join("prometheus.yml");
        fs::write(&config, every_second(&read("prometheus.yml")?)?)?;
        fs::write(scratch.join("alerts.yml"), read("alerts.yml")?)?;
        let words = [
            "prometheus".to_owned(),
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", scratch.join("data").display()),
            format!("--web.listen-address={ADDRESS}"),
        ];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut process = netns.spawn("prometheus", scratch, Some(cpu), &words)?;
        let ready = interrupt.poll(Instant::now() + START_MAX, || {
            if let Some(status) = process.ended()? {
                bail!("prometheus ended with {status}{}", process.last_words());
            }
            Ok(get(netns, ADDRESS, "/-/ready").ok())
        })?;
        ensure!(ready.is_some(), "prometheus was not ready within {START_MAX:?}{}", process.last_words());
        Ok(Prometheus { process, netns })
    }

    /// Asks an instant query that answers with a vector.
    ///
    /// # Errors
    /// Prometheus refuses the query, or its answer is no vector.
    pub fn query(&self, query: &str) -> Result<Vec<Series>> {
        let data: Vector = self.ask(&format!("/api/v1/query?query={}", escaped(query)))?;
        ensure!(data.result_type == "vector", "the answer is a {}, not a vector", data.result_type);
        data.result
            .into_iter()
            .map(|sample| {
                let value = sample.value.1.parse().context("a value that is no number")?;
                Ok(Series { labels: sample.metric.to_string(), value })
            })
            .collect()
    }

    /// Every alert of the rules.
    ///
    /// # Errors
    /// Prometheus does not answer.
    pub fn alerts(&self) -> Result<Vec<Alert>> {
        let data: Groups = self.ask("/api/v1/rules?type=alert")?;
        Ok(data.groups.into_iter().flat_map(|group| group.rules).collect())
    }

    /// Asks it to stop, and waits.
    ///
    /// # Errors
    /// It does not stop, or a signal came.
    pub fn stop(mut self, interrupt: &Interrupt) -> Result<()> {
        self.process.signal(nix::sys::signal::Signal::SIGTERM)?;
        self.process.wait(Duration::from_secs(10), interrupt).map(|_| ())
    }

    fn ask<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T> {
        let body = get(self.netns, ADDRESS, path)?;
        let answer: Answer<T> = serde_json::from_str(&body).context("prometheus wrote no JSON")?;
        Ok(answer.data)
    }
}

/// The configuration with one-second intervals.
fn every_second(config: &str) -> Result<String> {
    let mut replaced = 0;
    let lines: Vec<String> = config
        .lines()
        .map(|line| match line.split_once("_interval:") {
            Some((before, _)) => {
                replaced += 1;
                format!("{before}_interval: 1s")
            }
            None => line.to_owned(),
        })
        .collect();
    ensure!(replaced == 2, "expected a scrape and an evaluation interval, found {replaced} intervals");
    Ok(lines.join("\n"))
}

/// Percent-encodes what may not stand in a query string.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    metric: serde_json::Value,
    /// Time and value.
    value: (f64, String),
}

#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Alert>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_intervals_become_a_second() {
        let text = "global:\n  scrape_interval: 5s        # why\n  evaluation_interval: 15s\nrule_files: []";
        assert_eq!(
            every_second(text).unwrap(),
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: []"
        );
        assert!(every_second("global: {}").is_err());
    }

    #[test]
    fn a_query_survives_its_address() {
        let query = "rate(a{b=~\"x|y\"}[4s])";
        assert_eq!(escaped(query), "rate%28a%7Bb%3D%7E%22x%7Cy%22%7D%5B4s%5D%29");
    }
}
