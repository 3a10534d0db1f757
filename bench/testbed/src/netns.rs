//! Network namespaces that belong to this process.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

use crate::process::{Process, run};

/// Every namespace is named PREFIX, process id, role.
const PREFIX: &str = "weirbed";

/// A namespace; removed when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes an empty namespace whose loopback is up.
    ///
    /// # Errors
    /// Not root, or no `ip`.
    pub fn new(role: &str) -> Result<Netns> {
        let netns = Netns { name: format!("{PREFIX}-{}-{role}", std::process::id()) };
        run("ip", ["netns", "add", &netns.name]).context("cannot make a network namespace: is this root?")?;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// Its name, as `ip netns` knows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` on this namespace.
    ///
    /// # Errors
    /// `ip` refuses.
    pub fn ip(&self, words: &str) -> Result<String> {
        run("ip", ["-n", &self.name].into_iter().chain(words.split_whitespace()))
    }

    /// Sets a sysctl, in this namespace only.
    ///
    /// # Errors
    /// No such sysctl.
    pub fn sysctl(&self, assignment: &str) -> Result<()> {
        run("ip", ["netns", "exec", &self.name, "sysctl", "-qw", assignment]).map(|_| ())
    }

    /// Turns off what would make a frame larger than the wire's, or leave a checksum open.
    ///
    /// # Errors
    /// No such device.
    pub fn offloads_off(&self, device: &str) -> Result<()> {
        let words = "tx off rx off sg off tso off gso off gro off";
        let command = ["netns", "exec", &self.name, "ethtool", "-K", device];
        run("ip", command.into_iter().chain(words.split(' '))).map(|_| ())
    }

    /// Starts a program inside; see [`Process::spawn`].
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn(&self, name: &str, logs: &Path, cpu: Option<usize>, words: &[&str]) -> Result<Process> {
        let inside = [&["ip", "netns", "exec", &self.name], words].concat();
        Process::spawn(name, logs, cpu, &inside)
    }

    /// Does `work` on a thread of its own inside the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` failed.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = PathBuf::from("/run/netns").join(&self.name);
        let entered = move || {
            let space = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
            setns(space, CloneFlags::CLONE_NEWNET).context("cannot enter the namespace")?;
            work()
        };
        std::thread::scope(|scope| scope.spawn(entered).join())
            .map_err(|_| anyhow!("a thread in {} panicked", self.name))?
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if let Err(error) = run("ip", ["netns", "del", &self.name]) {
            eprintln!("left behind: {error:#}");
        }
    }
}

/// Removes the namespaces of runs whose process is dead. Returns their names.
///
/// # Errors
/// `ip` refuses.
pub fn sweep() -> Result<Vec<String>> {
    let mut swept = Vec::new();
    for line in run("ip", ["netns", "list"])?.lines() {
        let Some(name) = line.split_whitespace().next() else { continue };
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')?.split('-').next());
        let dead = |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if owner.is_some_and(dead) {
            run("ip", ["netns", "del", name])?;
            swept.push(name.to_owned());
        }
    }
    Ok(swept)
}
