//! The thread that learns: where it runs, how it ends, and that whatever becomes of it is nobody else's trouble.

use crate::status::Shared;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, warn};

/// How long a stop waits for a step to end. One that waits for an adapter process may take longer: the process ends without
/// it, and what it would have published is not missed.
const STOP_MAX: Duration = Duration::from_millis(500);

/// A running thread. Told to end, and left behind if it does not, when dropped.
pub(in crate::run) struct TrainerThread {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TrainerThread {
    /// Between two turns: bounds how long samples lie in their lanes, and an operator waits.
    pub(in crate::run) const REST: Duration = Duration::from_millis(10);

    /// Starts `turn` over and over on `core`, until it says that there is no more to do or the handle is dropped.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(in crate::run) fn start(
        core: usize,
        shared: Shared,
        mut turn: impl FnMut() -> Turn + Send + 'static,
    ) -> io::Result<TrainerThread> {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let body = move || {
            // Control has bound itself to its core, and this thread was born there.
            if let Err(error) = weir_cpu::pin_current_thread(core) {
                warn!(%error, "trainer.core: the trainer runs where the system puts it");
            }
            // Nothing is shared with the packet path but lanes and messages, which a panic leaves whole.
            let ended = catch_unwind(AssertUnwindSafe(|| {
                while !told.load(Ordering::Relaxed) && turn() == Turn::Again {}
            }));
            shared.update(|status| {
                if let Some(trainer) = &mut status.trainer {
                    trainer.running = false;
                }
            });
            if ended.is_err() {
                error!(
                    "the trainer panicked, its last words are above: frames pass and are paced as before, nothing is learned"
                );
            }
        };
        let thread = std::thread::Builder::new().name("weir-trainer".to_owned()).spawn(body)?;
        Ok(TrainerThread { stop, thread: Some(thread) })
    }
}

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) enum Turn {
    /// There may be.
    Again,
    /// Control has gone.
    Over,
}

impl Drop for TrainerThread {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + STOP_MAX;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // Its panic has been reported above.
            let _ = thread.join();
        } else {
            warn!("the trainer is in the midst of something and is left behind");
        }
    }
}
