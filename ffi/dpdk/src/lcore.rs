//! Worker cores: EAL's own threads, one per core, to which a closure can be sent.

use crate::error::{Errno, LaunchError};
use std::any::Any;
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use weir_dpdk_sys as sys;

/// An idle worker core. One value exists per core, so one job runs on it at a time.
#[derive(Debug)]
pub struct Lcore {
    id: u32,
    cpu: usize,
}

impl Lcore {
    /// # Safety
    /// EAL runs with worker lcore `id`, bound to `cpu`; it is idle, and no other value stands for it.
    pub(crate) unsafe fn new(id: u32, cpu: usize) -> Lcore {
        Lcore { id, cpu }
    }

    /// EAL's number for it: 1 for the first worker.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The core on which it runs.
    pub fn cpu(&self) -> usize {
        self.cpu
    }

    /// Runs a closure on the core. The core's share of each mempool's free buffers serves it, so frames are taken
    /// and freed without contention.
    ///
    /// # Errors
    /// DPDK does not start it (it would have to be running something that this crate did not start).
    pub fn run<T, F>(self, job: F) -> Result<Running<T>, LaunchError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (outcome, result) = sync_channel(1);
        let job = Box::into_raw(Box::new(Job { run: job, outcome }));
        // SAFETY: `entry` has the type of `job` and takes it back from the pointer, once.
        let launched =
            unsafe { sys::rte_eal_remote_launch(Some(entry::<T, F>), job.cast::<c_void>(), self.id) };
        if let Err(errno) = Errno::check(launched) {
            // SAFETY: not launched, so the box is still ours.
            drop(unsafe { Box::from_raw(job) });
            return Err(LaunchError { lcore: self.id, errno });
        }
        Ok(Running { lcore: self, result, joined: false })
    }
}

struct Job<T, F> {
    run: F,
    outcome: SyncSender<thread::Result<T>>,
}

/// What the worker thread calls. A panic ends here: it must not unwind into C.
unsafe extern "C" fn entry<T, F: FnOnce() -> T>(job: *mut c_void) -> c_int {
    // SAFETY: `run` made this pointer from a box of this type and gave it up.
    let Job { run, outcome } = *unsafe { Box::from_raw(job.cast::<Job<T, F>>()) };
    let result = catch_unwind(AssertUnwindSafe(run));
    // The receiver lives until it has this (`Running::join` and its drop wait for it).
    let _ = outcome.send(result);
    0
}

/// A closure that runs on a worker core. Dropping this waits for its end.
#[derive(Debug)]
pub struct Running<T> {
    lcore: Lcore,
    result: Receiver<thread::Result<T>>,
    joined: bool,
}

impl<T> Running<T> {
    /// Whether the closure has ended, so that [`Running::join`] will not block.
    pub fn is_finished(&self) -> bool {
        // SAFETY: EAL runs, and knows the lcore.
        unsafe { sys::rte_eal_get_lcore_state(self.lcore.id) == sys::WAIT }
    }

    /// Waits for the closure's end. Gives back the core, and what the closure returned or, as
    /// [`std::thread::JoinHandle::join`] does, what it panicked with.
    pub fn join(mut self) -> (Lcore, thread::Result<T>) {
        let result = self.wait();
        self.joined = true;
        (Lcore { id: self.lcore.id, cpu: self.lcore.cpu }, result)
    }

    fn wait(&self) -> thread::Result<T> {
        // First sleep until the result is there: EAL's own wait spins.
        let lost = |_| Err(Box::new("the worker ended without a result") as Box<dyn Any + Send>);
        let result = self.result.recv().unwrap_or_else(lost);
        // SAFETY: EAL runs, and knows the lcore. This lasts for the few instructions after the send.
        unsafe { sys::rte_eal_wait_lcore(self.lcore.id) };
        result
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if !self.joined {
            drop(self.wait());
        }
    }
}
