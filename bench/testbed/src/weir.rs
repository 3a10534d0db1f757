//! Weir, from outside: a process, its readiness, its metrics.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::exposition::Scrape;
use crate::http::get;
use crate::interrupt::Interrupt;
use crate::netns::Netns;
use crate::process::Process;

/// Where `conf/demo.toml` has the metrics, inside Weir's own namespace.
const METRICS: &str = "127.0.0.1:9464";
/// The override that puts them elsewhere.
const LISTEN: &str = "metrics.listen=";
/// EAL start-up takes 0.2 s; a machine that is busy with a build may need many times that.
const START_MAX: Duration = Duration::from_secs(20);
/// Longer than Weir drains.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The verdicts of frames that left by a port, in one piece or in several, or were for Weir. Every other one is a drop, so that
/// one that is new here counts.
const NO_DROPS: [&str; 8] =
    ["forwarded", "paced", "untracked", "malformed", "table_full", "consumed", "originated", "fragmented"];

/// A running Weir.
#[derive(Debug)]
pub struct Weir {
    process: Process,
    binary: PathBuf,
    socket: PathBuf,
    metrics: String,
}

/// What became of the frames.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Account {
    /// Frames that came in, on both sides.
    pub received: u64,
    /// Frames that Weir made.
    pub originated: u64,
    /// Frames that workers passed on to the workers whose they are.
    pub steered_out: u64,
    /// Frames that those have taken.
    pub steered_in: u64,
    /// Frames inside at that moment.
    pub held: u64,
    /// Frames that ended, by verdict.
    pub verdicts: BTreeMap<String, u64>,
}

impl Account {
    /// Picks it out of a scrape.
    fn of(scrape: &Scrape) -> Result<Account> {
        let whole = |name: &str| scrape.sum(name).map(|value| value as u64);
        Ok(Account {
            received: whole("weir_received_frames_total")?,
            originated: whole("weir_originated_frames_total")?,
            steered_out: whole("weir_steered_out_frames_total")?,
            steered_in: whole("weir_steered_in_frames_total")?,
            held: whole("weir_held_frames")?,
            verdicts: whole_by(scrape, "weir_verdicts_total", "verdict")?,
        })
    }

    /// Frames whose whereabouts are known.
    pub fn accounted(&self) -> u64 {
        self.verdicts.values().sum::<u64>() + self.held
    }

    /// Frames whose whereabouts are not known. A frame between two workers is in neither's books.
    pub fn missing(&self) -> i128 {
        i128::from(self.received + self.originated + self.steered_in)
            - i128::from(self.accounted() + self.steered_out)
    }

    /// Whether no frame is missing.
    pub fn balanced(&self) -> bool {
        self.missing() == 0
    }

    /// Frames that Weir dropped on purpose or because a port was full.
    pub fn dropped(&self) -> u64 {
        let drops = self.verdicts.iter().filter(|(verdict, _)| !NO_DROPS.contains(&verdict.as_str()));
        drops.map(|(_, frames)| frames).sum()
    }
}

/// Everything taken from one scrape.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Frames, over all workers.
    pub account: Account,
    /// The same for each worker.
    pub workers: Vec<Account>,
    /// Pacing decisions by what made them.
    pub decisions: BTreeMap<String, u64>,
    /// Evaluations of the network.
    pub inferences: u64,
    /// Mean cost of an evaluation, gathering its inputs included, ns; `None` before the first.
    pub inference_ns: Option<f64>,
    /// Congestion marks set.
    pub marks: u64,
}

impl Counters {
    /// Whether no frame is missing, in all and with each worker.
    pub fn balanced(&self) -> bool {
        self.account.balanced() && self.workers.iter().all(Account::balanced)
    }

    /// The same of a scrape that must balance: Weir promises it for any moment.
    ///
    /// # Errors
    /// A metric or a frame is missing.
    pub fn checked(scrape: &Scrape) -> Result<Counters> {
        let counters = Counters::of(scrape)?;
        let Account { received, originated, .. } = counters.account;
        ensure!(
            counters.balanced(),
            "received {received} + originated {originated}, but {} accounted for: {counters:?}",
            counters.account.accounted()
        );
        Ok(counters)
    }

    /// Picks what the demo reports out of a scrape.
    ///
    /// # Errors
    /// A metric is missing.
    pub fn of(scrape: &Scrape) -> Result<Counters> {
        let whole = |name: &str| scrape.sum(name).map(|value| value as u64);
        let workers: Vec<String> = scrape.by("weir_turns_total", "worker")?.into_keys().collect();
        let inferences = whole("weir_inferences_total")?;
        let seconds = scrape.sum("weir_inference_seconds_total")?;
        Ok(Counters {
            account: Account::of(scrape)?,
            workers: workers
                .iter()
                .map(|worker| Account::of(&scrape.only("worker", worker)))
                .collect::<Result<_>>()?,
            decisions: whole_by(scrape, "weir_pacing_decisions_total", "source")?,
            inferences,
            inference_ns: (inferences > 0).then(|| seconds * 1e9 / inferences as f64),
            marks: whole("weir_ecn_marks_total")?,
        })
    }
}

/// Whole numbers of a metric by one of its labels.
pub(crate) fn whole_by(scrape: &Scrape, name: &str, label: &str) -> Result<BTreeMap<String, u64>> {
    Ok(scrape.by(name, label)?.into_iter().map(|(key, value)| (key, value as u64)).collect())
}

/// The `weir` to test: what `WEIR_BIN` names, else the one beside this program or its folder's parent.
///
/// # Errors
/// There is none.
pub fn binary(own_folder: &Path) -> Result<PathBuf> {
    let candidates = match std::env::var_os("WEIR_BIN") {
        Some(path) => vec![PathBuf::from(path)],
        None => vec![own_folder.join("weir")],
    };
    match candidates.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => bail!("no weir at {candidates:?}: `make build` makes it, WEIR_BIN may name another"),
    }
}

impl Weir {
    /// Starts Weir in its namespace with a configuration and overrides, and waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time: the error carries its last words.
    pub fn start(
        binary: &Path,
        config: &Path,
        overrides: &[&str],
        netns: &Netns,
        logs: &Path,
        interrupt: &Interrupt,
    ) -> Result<Weir> {
        let mut weir = Weir::spawn(binary, config, overrides, netns, logs)?;
        weir.answers("/readyz", netns, interrupt)?;
        Ok(weir)
    }

    /// Starts Weir without waiting for anything.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(
        binary: &Path,
        config: &Path,
        overrides: &[&str],
        netns: &Netns,
        logs: &Path,
    ) -> Result<Weir> {
        // A file's place is no namespace's: each Weir has a control socket of its own.
        // A relative one would be taken from the configuration's directory.
        let socket = std::path::absolute(logs.join("weir.sock")).context("where this process is")?;
        let control = format!("control.socket={}", text(&socket)?);
        let mut words = vec![text(binary)?, "run", text(config)?, "--set", &control];
        overrides.iter().for_each(|assignment| words.extend(["--set", assignment]));
        let elsewhere = overrides.iter().rev().find_map(|assignment| assignment.strip_prefix(LISTEN));
        Ok(Weir {
            // Weir pins its own threads.
            process: netns.spawn("weir", logs, None, &words)?,
            binary: binary.to_owned(),
            socket,
            metrics: elsewhere.unwrap_or(METRICS).to_owned(),
        })
    }

    /// Waits until it says yes to `/readyz` (its ports are up) or `/healthz` (they are open).
    ///
    /// # Errors
    /// It ends, or does not say so in time: the error carries its last words.
    pub fn answers(&mut self, question: &str, netns: &Netns, interrupt: &Interrupt) -> Result<()> {
        let yes = interrupt.poll(Instant::now() + START_MAX, || {
            if let Some(status) = self.process.ended()? {
                bail!("weir ended with {status}{}", self.process.last_words());
            }
            // Nothing listens yet, or it says no.
            Ok(get(netns, &self.metrics, question).ok())
        })?;
        ensure!(
            yes.is_some(),
            "weir did not say yes to {question} within {START_MAX:?}{}",
            self.process.last_words()
        );
        Ok(())
    }

    /// Scrapes the metrics.
    ///
    /// # Errors
    /// Weir does not answer, or not in Prometheus' format.
    pub fn scrape(&mut self, netns: &Netns) -> Result<Scrape> {
        if let Some(status) = self.process.ended()? {
            bail!("weir ended with {status}{}", self.process.last_words());
        }
        Scrape::parse(&get(netns, &self.metrics, "/metrics")?)
    }

    /// Runs `weir ctl` against it.
    ///
    /// # Errors
    /// The program cannot be run.
    pub fn ctl(&self, words: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.binary);
        command.arg("ctl").arg("--socket").arg(&self.socket).args(words).stdin(Stdio::null());
        command.output().context("cannot run weir ctl")
    }

    /// The running process, for tests that treat it badly.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Asks it to stop, as an operator would, and waits.
    ///
    /// # Errors
    /// It does not stop, or a signal came.
    pub fn stop(mut self, interrupt: &Interrupt) -> Result<ExitStatus> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(STOP_MAX, interrupt)
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_is_a_drop_that_is_not_known_to_be_none() {
        let verdicts = NO_DROPS.iter().map(|verdict| ((*verdict).to_owned(), 1000));
        let drops = ["schedule_full", "no_headroom", "of_next_year"].map(|verdict| (verdict.to_owned(), 1));
        let account = Account { verdicts: verdicts.chain(drops).collect(), ..Account::default() };
        assert_eq!(account.dropped(), 3);
    }

    #[test]
    fn a_missing_frame_shows() {
        let verdicts = [("paced".to_owned(), 7), ("pace_full".to_owned(), 2)].into();
        let mut account = Account { received: 10, held: 1, verdicts, ..Account::default() };
        assert!(account.balanced());
        // One more, on its way from a worker to another.
        (account.received, account.steered_out) = (11, 1);
        assert!(account.balanced());
        assert_eq!(account.dropped(), 2);
        account.received += 1;
        assert!(!account.balanced());
    }
}
