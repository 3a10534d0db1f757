//! On which core a thread runs.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use thiserror::Error;

/// Why a thread could not be bound to a core, or asked where it runs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CpuError {
    /// The number is beyond what the kernel interface takes.
    #[error("core {cpu} does not exist: the highest number is {max}", max = CpuSet::count() - 1)]
    NoSuchCpu {
        /// The core asked for.
        cpu: usize,
    },
    /// The kernel refused, most often because the core is offline or outside this process's cpuset.
    #[error("cannot run on core {cpu}: {errno}; this process may use {allowed:?} (see cgroup cpuset.cpus)")]
    Refused {
        /// The core asked for.
        cpu: usize,
        /// The kernel's reason.
        errno: Errno,
        /// The cores that a thread of this process may be bound to.
        allowed: Vec<usize>,
    },
    /// The affinity mask could not be read.
    #[error("cannot read this thread's affinity: {0}")]
    Unreadable(Errno),
}

/// Binds the calling thread to one core. Threads that it starts afterwards inherit the binding.
///
/// # Errors
/// The core does not exist, is offline, or is closed to this process.
pub fn pin_current_thread(cpu: usize) -> Result<(), CpuError> {
    let mut only = CpuSet::new();
    only.set(cpu).map_err(|_| CpuError::NoSuchCpu { cpu })?;
    sched_setaffinity(Pid::from_raw(0), &only).map_err(|errno| CpuError::Refused {
        cpu,
        errno,
        allowed: permitted_cpus().unwrap_or_default(),
    })
}

/// The cores that the calling thread may run on, ascending.
///
/// # Errors
/// The kernel does not tell (it knows more cores than the mask holds).
pub fn allowed_cpus() -> Result<Vec<usize>, CpuError> {
    let mask = sched_getaffinity(Pid::from_raw(0)).map_err(CpuError::Unreadable)?;
    Ok((0..CpuSet::count()).filter(|&cpu| mask.is_set(cpu).unwrap_or(false)).collect())
}

/// The cores that a thread of this process may be bound to, ascending: those of its cpuset. More than [`allowed_cpus`]
/// where the thread has been bound already (`taskset`), or where cores are kept free for threads that ask for them by
/// number (the boot option `isolcpus`, which takes them out of every thread's first mask).
///
/// # Errors
/// The kernel does not tell.
pub fn permitted_cpus() -> Result<Vec<usize>, CpuError> {
    let widest = || {
        let mut all = CpuSet::new();
        (0..CpuSet::count()).try_for_each(|cpu| all.set(cpu)).map_err(CpuError::Unreadable)?;
        // The kernel takes what of it lies in the cpuset.
        sched_setaffinity(Pid::from_raw(0), &all).map_err(CpuError::Unreadable)?;
        allowed_cpus()
    };
    // A thread of its own: the caller's binding stays as it is.
    match std::thread::Builder::new().spawn(widest).map(std::thread::JoinHandle::join) {
        Ok(Ok(cpus)) => cpus,
        Ok(Err(_)) | Err(_) => allowed_cpus(),
    }
}

/// The core that runs the calling thread at this moment.
///
/// # Errors
/// The kernel does not tell.
pub fn current_cpu() -> Result<usize, CpuError> {
    sched_getcpu().map_err(CpuError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_runs_where_it_was_put() {
        let allowed = allowed_cpus().unwrap();
        assert!(!allowed.is_empty());
        for &cpu in &allowed {
            let seen = std::thread::spawn(move || {
                pin_current_thread(cpu).unwrap();
                (current_cpu().unwrap(), allowed_cpus().unwrap())
            });
            assert_eq!(seen.join().unwrap(), (cpu, vec![cpu]));
        }
        assert_eq!(allowed_cpus().unwrap(), allowed, "only the other threads were bound");
    }

    #[test]
    fn a_bound_thread_may_still_be_bound_elsewhere() {
        let permitted = permitted_cpus().unwrap();
        let seen = std::thread::spawn(move || {
            pin_current_thread(allowed_cpus().unwrap()[0]).unwrap();
            (permitted_cpus().unwrap(), allowed_cpus().unwrap().len())
        });
        assert_eq!(seen.join().unwrap(), (permitted.clone(), 1));
        assert!(allowed_cpus().unwrap().iter().all(|cpu| permitted.contains(cpu)));
    }

    #[test]
    fn a_core_that_does_not_exist_is_refused_by_name() {
        let beyond = CpuSet::count();
        assert_eq!(pin_current_thread(beyond), Err(CpuError::NoSuchCpu { cpu: beyond }));
        let last = beyond - 1;
        if !allowed_cpus().unwrap().contains(&last) {
            let error = pin_current_thread(last).unwrap_err().to_string();
            assert!(error.contains(&format!("core {last}")), "{error}");
        }
    }
}
