//! The link emulator on a thread of this process. A thread and not a program of its own, so that it can never
//! outlive the run.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use weir_link::live::{HostReport, Live, LiveError, Options, now};
use weir_link::{Change, Report};

/// What the link said at one moment.
#[derive(Clone, Copy, Debug)]
pub struct LinkReport {
    /// The wire.
    pub link: Report,
    /// The host under it.
    pub host: HostReport,
}

/// A running link. Its taps go when it is dropped.
#[derive(Debug)]
pub struct LinkThread {
    stop: Arc<AtomicBool>,
    changes: mpsc::Sender<(u64, Change)>,
    reports: Arc<Mutex<Vec<LinkReport>>>,
    thread: Option<JoinHandle<Result<(), LiveError>>>,
}

impl LinkThread {
    /// Makes the taps and carries frames on `cpu` from here on.
    ///
    /// # Errors
    /// The taps cannot be made.
    pub fn start(options: Options, cpu: usize) -> Result<LinkThread> {
        let stop = Arc::new(AtomicBool::new(false));
        let reports = Arc::new(Mutex::new(Vec::new()));
        let (changes, incoming) = mpsc::channel();
        let (ready, opened) = mpsc::channel();
        let shared = (Arc::clone(&stop), Arc::clone(&reports));
        let body = move || {
            let (stop, reports) = shared;
            let pinned = pin(cpu);
            let mut live = match Live::open(&options) {
                Ok(live) => live,
                Err(error) => {
                    let _ = ready.send(Err(anyhow!(error)));
                    return Ok(());
                }
            };
            // The receiver waits for exactly this.
            let _ = ready.send(pinned);
            while !stop.load(Ordering::Relaxed) {
                for (at, change) in incoming.try_iter() {
                    live.link().schedule(at, change);
                }
                live.turn(&mut |link, host| {
                    let report = LinkReport { link: *link, host: *host };
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                })?;
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("link".to_owned()).spawn(body)?;
        let link = LinkThread { stop, changes, reports, thread: Some(thread) };
        opened.recv().context("the link's thread died")??;
        Ok(link)
    }

    /// Changes the link at `at_ns` of the monotonic clock, or within 50 ms of now if that has passed.
    ///
    /// # Errors
    /// The change does not parse, or the link has stopped.
    pub fn change_at(&self, at_ns: u64, change: &str) -> Result<()> {
        self.changes.send((at_ns, change.parse()?)).map_err(|_| anyhow!("the link has stopped"))
    }

    /// Changes the link now.
    ///
    /// # Errors
    /// As [`LinkThread::change_at`].
    pub fn change(&self, change: &str) -> Result<()> {
        self.change_at(now()?, change)
    }

    /// Everything it has reported so far, one report every 50 ms.
    pub fn reports(&self) -> Vec<LinkReport> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops it and says whether it ran well to the end.
    ///
    /// # Errors
    /// It had stopped by itself: a tap went away.
    pub fn finish(mut self) -> Result<Vec<LinkReport>> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow!("the link's thread panicked"))??;
        }
        Ok(self.reports())
    }
}

impl Drop for LinkThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its error, if any, is reported by `finish`; a drop is on the way out already.
            let _ = thread.join();
        }
    }
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("no CPU {cpu}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).with_context(|| format!("cannot stay on CPU {cpu}"))
}

/// Where the running program's siblings are: `weir` beside `weir-demo`.
///
/// # Errors
/// The system does not say where this program is.
pub fn program_folder() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where is this program?")?;
    own.parent().map(PathBuf::from).context("this program has no folder")
}
