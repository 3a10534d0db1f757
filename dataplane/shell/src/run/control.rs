//! The control thread: signals, HTTP, the publisher, the trainer's ends of the lanes, an eye on the ports.

use crate::http::{Handler, Server};
use crate::status::{Shared, Status};
use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tracing::{info, warn};
use weir_engine::models::ModelSet;
use weir_engine::sampler::Sample;
use weir_handoff::{LaneReceiver, Publisher};

/// Time between two looks at everything. Bounds how long a stop waits, and how stale a port's state is.
const TICK: Duration = Duration::from_millis(20);
/// Samples taken per tick and lane: ten million a second, more than a lane can carry.
const SAMPLES_PER_TICK: usize = 200_000;

/// A flag that SIGTERM and SIGINT set. A second signal of the same kind ends the process at once.
///
/// # Errors
/// The system refuses a handler.
pub(super) fn catch_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first signal finds the flag unset, passes here and sets it below.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("cannot catch signals")?;
    }
    Ok(stop)
}

/// What the control thread holds.
pub(super) struct Control {
    shared: Shared,
    publisher: Publisher<ModelSet>,
    /// By worker index.
    samples: Vec<LaneReceiver<Sample>>,
    server: Option<Server>,
}

impl Control {
    /// With nothing served yet.
    pub(super) fn new(
        shared: Shared,
        publisher: Publisher<ModelSet>,
        samples: Vec<LaneReceiver<Sample>>,
    ) -> Control {
        Control { shared, publisher, samples, server: None }
    }

    /// Serves HTTP where the configuration asks for it.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(super) fn serve(&mut self, address: Option<SocketAddr>) -> anyhow::Result<()> {
        let Some(address) = address else { return Ok(()) };
        if !address.ip().is_loopback() {
            warn!("metrics are served on {address} without authentication, to whoever can reach it");
        }
        let shared = self.shared.clone();
        let handler: Arc<Handler> = Arc::new(move |path: &str| shared.answer(path));
        let server = Server::start(address, handler).with_context(|| {
            format!("metrics.listen: cannot listen on {address} (port 0 takes any free one)")
        })?;
        info!("serving http://{}/metrics, /healthz and /readyz", server.address());
        self.server = Some(server);
        Ok(())
    }

    /// What HTTP shows.
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// One look at everything, and a short sleep.
    pub(super) fn tick(&mut self, look: impl FnOnce(&mut Status)) {
        let drained: usize = self.samples.iter_mut().map(|lane| lane.drain(SAMPLES_PER_TICK, |_| {})).sum();
        self.publisher.reclaim();
        self.shared.silences();
        self.shared.update(|status| {
            status.samples_drained += drained as u64;
            look(status);
        });
        std::thread::sleep(TICK);
    }
}
