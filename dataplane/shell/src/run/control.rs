//! The control thread: signals, HTTP, the control socket, publication, the trainer's ends of the lanes, an eye on the
//! ports. It never waits for any of them.

use super::lanes::Lanes;
use super::publication::Publication;
use super::reload::Reloader;
use super::trainer::{Order, Post};
use crate::control;
use crate::control::protocol::{Body, Command, Request};
use crate::http::{Handler, Server};
use crate::status::{Shared, Status};
use anyhow::Context as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Time between two looks at everything. Bounds how long a stop waits, and how stale a port's state is.
const TICK: Duration = Duration::from_millis(20);
/// Samples taken per tick and lane: ten million a second, more than a lane can carry.
const SAMPLES_PER_TICK: usize = 200_000;

/// What the control thread holds.
pub(super) struct Control {
    shared: Shared,
    publication: Publication,
    reloader: Arc<Reloader>,
    reload_asked: Arc<AtomicBool>,
    reloading: Option<JoinHandle<()>>,
    post: Post,
    /// None where a trainer has them.
    lanes: Lanes,
    server: Option<Server>,
    socket: Option<control::Server>,
}

impl Control {
    /// With nothing served yet.
    pub(super) fn new(
        shared: Shared,
        publication: Publication,
        reloader: Reloader,
        reload_asked: Arc<AtomicBool>,
        post: Post,
        lanes: Lanes,
    ) -> Control {
        let reloader = Arc::new(reloader);
        Control {
            shared,
            publication,
            reloader,
            reload_asked,
            reloading: None,
            post,
            lanes,
            server: None,
            socket: None,
        }
    }

    /// Opens the control socket where the configuration asks for one.
    ///
    /// # Errors
    /// It cannot be made, or another process listens there.
    pub(super) fn open_socket(&mut self, path: Option<&Path>) -> anyhow::Result<()> {
        let Some(path) = path else { return Ok(()) };
        let (shared, reloader, post) = (self.shared.clone(), Arc::clone(&self.reloader), self.post.clone());
        let handler = Box::new(move |request: &Request| match request.command {
            Command::Reload => Body::Reload(reloader.reload("weir ctl")),
            Command::Status => Body::Status(Box::new(shared.status_report())),
            Command::Models => Body::Models(Box::new(shared.models_report())),
            Command::Rollback => Body::Change(post.order(Order::Rollback, request.model.clone())),
            Command::Freeze => Body::Change(post.order(Order::Freeze, request.model.clone())),
            Command::Resume => Body::Change(post.order(Order::Resume, request.model.clone())),
        });
        self.socket = Some(control::Server::start(path, handler).context("control.socket")?);
        info!("`weir ctl --socket {} status` asks how things are", path.display());
        Ok(())
    }

    /// A reload that SIGHUP asks for, on a thread of its own. Signals that come while it runs ask for one more.
    fn reload_on_signal(&mut self) {
        if self.reloading.as_ref().is_some_and(|thread| !thread.is_finished())
            || !self.reload_asked.swap(false, Ordering::Relaxed)
        {
            return;
        }
        let reloader = Arc::clone(&self.reloader);
        let started = std::thread::Builder::new().name("weir-reload".to_owned()).spawn(move || {
            reloader.reload("SIGHUP");
        });
        match started {
            Ok(thread) => self.reloading = Some(thread),
            Err(error) => warn!(%error, "no thread for a reload"),
        }
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
        let drained = self.lanes.discard(SAMPLES_PER_TICK);
        self.reload_on_signal();
        let shared = &self.shared;
        let follows_only = |number| shared.reports().iter().all(|report| report.follows_only(number));
        self.publication.tick(Instant::now(), follows_only, |live| {
            let models = live.shown();
            for model in &models {
                info!("model {} is generation {}", model.name, model.generation);
            }
            shared.update(|status| {
                status.models = models;
                status.limits = live.limits();
            });
        });
        self.shared.silences();
        self.shared.measure();
        self.shared.update(|status| {
            status.samples_drained += drained as u64;
            look(status);
        });
        std::thread::sleep(TICK);
    }
}
