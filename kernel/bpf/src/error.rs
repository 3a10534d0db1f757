//! Why something with BPF did not work, and what to do about it.

use std::path::PathBuf;
use thiserror::Error;

/// One line each; `weir bpf` prints it as it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BpfError {
    /// The kernel does not describe its own types.
    #[error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF=y, which Debian's kernels have"
    )]
    NoBtf,
    /// The kernel takes no congestion control from BPF.
    #[error(
        "this kernel takes no congestion control from BPF: it needs 6.4 or newer with CONFIG_BPF_JIT=y ({0})"
    )]
    NoStructOps(String),
    /// The caller may not.
    #[error(
        "BPF wants privileges that this process lacks: run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"
    )]
    NotPermitted,
    /// Where attached programs are kept is not there.
    #[error("no BPF file system at {}: mount -t bpf bpf {}", .0.display(), .0.display())]
    NoBpffs(PathBuf),
    /// It is there.
    #[error("{0} is attached already: `weir bpf status` shows it, `weir bpf detach` takes it away")]
    Attached(&'static str),
    /// It is not.
    #[error("{0} is not attached: `weir bpf attach` does that, `weir bpf status` shows what is")]
    NotAttached(&'static str),
    /// The snapshot does not decide rates.
    #[error("snapshot {name} decides {function}, and a congestion control runs pacing networks")]
    NotPacing {
        /// Its name.
        name: String,
        /// What it decides.
        function: &'static str,
    },
    /// The snapshot is shown other features than the program computes.
    #[error(
        "snapshot {name} takes {inputs} inputs and gives {outputs}, not 30 and 1: it is of other features"
    )]
    Shape {
        /// Its name.
        name: String,
        /// What it takes.
        inputs: usize,
        /// What it gives.
        outputs: usize,
    },
    /// The program and the scalar executor disagree: nothing was changed.
    #[error(
        "the program gives {found} where the scalar executor gives {meant} (row {row}): not attached, please report it"
    )]
    Differs {
        /// The first row that differs.
        row: usize,
        /// The program's result.
        found: i32,
        /// The right one.
        meant: i32,
    },
    /// The program gives more or fewer results than the scalar executor: nothing was changed.
    #[error(
        "the program gives {found} results where the scalar executor gives {meant}: not attached, please report it"
    )]
    Results {
        /// How many it gives.
        found: usize,
        /// How many there should be.
        meant: usize,
    },
    /// libbpf or the kernel refused.
    #[error("{what}: {error}{}", words(.said))]
    Refused {
        /// What was tried.
        what: &'static str,
        /// The error.
        error: libbpf_rs::Error,
        /// What libbpf or the verifier said, if anything.
        said: String,
    },
    /// A file of the BPF file system.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
}

fn words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; libbpf said: {said}") }
}
