//! Which executors there are, and which of them this machine can run.

use core::fmt;

/// The ways to run a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Executor {
    /// Plain integer code: the definition, on any processor.
    Scalar,
    /// AVX2: 16 samples at a time with one sample per lane, single ones with one output per lane.
    Avx2,
    /// AVX-512 with VNNI: 32 samples at a time with one sample per lane, single ones with one output per lane.
    Avx512Vnni,
}

impl Executor {
    /// Every executor, slowest first.
    pub const ALL: [Executor; 3] = [Executor::Scalar, Executor::Avx2, Executor::Avx512Vnni];

    /// Whether this processor and operating system can run it.
    ///
    /// # Errors
    /// [`Unavailable`] with the reason why not.
    pub fn check(self) -> Result<(), Unavailable> {
        #[cfg(target_arch = "x86_64")]
        let checked = match self {
            Executor::Scalar => Ok(()),
            Executor::Avx2 => super::detect::avx2(),
            Executor::Avx512Vnni => super::detect::avx512_vnni(),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let checked = match self {
            Executor::Scalar => Ok(()),
            Executor::Avx2 | Executor::Avx512Vnni => Err(Reason::Architecture),
        };
        checked.map_err(|reason| Unavailable { executor: self, reason })
    }
    /// The executors that can run here, slowest first. [`Executor::ALL`] and [`Executor::check`] tell of the others.
    pub fn available() -> impl Iterator<Item = Executor> {
        Executor::ALL.into_iter().filter(|executor| executor.check().is_ok())
    }
    /// The fastest executor that can run here.
    pub fn best() -> Executor {
        Executor::available().last().unwrap_or(Executor::Scalar)
    }
    /// Lower-case name, as in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Executor::Scalar => "scalar",
            Executor::Avx2 => "avx2",
            Executor::Avx512Vnni => "avx512_vnni",
        }
    }
}

/// An executor cannot run on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// Which one.
    pub executor: Executor,
    /// Why not.
    pub reason: Reason,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "executor {} cannot run here: {}", self.executor.name(), self.reason)
    }
}

impl core::error::Error for Unavailable {}

/// Why an executor cannot run on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is for another processor architecture.
    Architecture,
    /// The processor lacks this extension of its instruction set.
    Processor(&'static str),
    /// The operating system, or the hypervisor, does not save these registers.
    System(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Architecture => f.write_str("it is for x86-64"),
            Reason::Processor(extension) => write!(f, "the processor lacks {extension}"),
            Reason::System(registers) => {
                write!(f, "the operating system has not switched on {registers} registers")
            }
        }
    }
}
