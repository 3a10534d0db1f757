//! Other programs: run to the end, or held by a guard.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::interrupt::Interrupt;

/// How long a dropped process may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// Runs a program to its end and returns its standard output.
///
/// # Errors
/// It cannot be started, or ends badly: the error carries the whole command and what it said.
pub fn run<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> Result<String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {program}: is it installed?"))?;
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A running program. Ended when dropped; killed by the kernel if this process dies first.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Process {
    /// Starts `program`, with its output in `name.out` and `name.err` in the folder `logs`. `cpu` pins it.
    /// Call it from a thread that outlives the process: the kernel ties the two together.
    ///
    /// # Errors
    /// It cannot be started, or the logs cannot be made.
    pub fn spawn(name: &str, logs: &Path, cpu: Option<usize>, words: &[&str]) -> Result<Process> {
        let (output, errors) = (logs.join(format!("{name}.out")), logs.join(format!("{name}.err")));
        let create =
            |path: &Path| File::create(path).with_context(|| format!("cannot write {}", path.display()));
        // Each of these replaces itself by the next, so that the child's id is the program's.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(cpu) = cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        command.args(words).stdin(Stdio::null()).stdout(create(&output)?).stderr(create(&errors)?);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name: name.to_owned(), child, output, errors })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("lost {}", self.name))
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It did not end in time, or a signal came.
    pub fn wait(&mut self, span: Duration, interrupt: &Interrupt) -> Result<ExitStatus> {
        match interrupt.poll(Instant::now() + span, || self.ended())? {
            Some(status) => Ok(status),
            None => bail!("{} did not end within {span:?}{}", self.name, self.last_words()),
        }
    }

    /// What it has written to its standard output.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn output(&self) -> Result<String> {
        fs::read_to_string(&self.output).with_context(|| format!("cannot read {}", self.output.display()))
    }

    /// The end of what it said, for an error message; starts with a colon.
    pub fn last_words(&self) -> String {
        let read = |path: &Path| fs::read(path).unwrap_or_default();
        let text = [read(&self.output), read(&self.errors)].concat();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        match &lines[lines.len().saturating_sub(5)..] {
            [] => ": it said nothing".to_owned(),
            last => format!(":\n  {}", last.join("\n  ")),
        }
    }

    /// Memory that is in use, in bytes: `VmRSS` of `proc_pid_status(5)`.
    ///
    /// # Errors
    /// It has ended.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024).with_context(|| format!("{} has no memory", self.name))
    }

    fn pid(&self) -> Pid {
        // Process ids fit: the kernel's largest is 2^22.
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `try_wait` also makes sure that the id is still this child's: it is not reaped behind our back.
        let deadline = Instant::now() + GRACE;
        let mut asked = false;
        while let Ok(None) = self.child.try_wait() {
            if !asked {
                let _ = kill(self.pid(), Signal::SIGTERM);
                asked = true;
            } else if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
