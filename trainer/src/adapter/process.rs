//! An [`Adapter`] whose work is done by another process.

use super::backoff::Backoff;
use super::fault::Fault;
use super::stream::Stream;
use super::watch::Watch;
use super::wire::{self, Call, Hello};
use crate::network::Network;
use crate::online::{AdaptError, AdaptReport, Adapter, Batch};
use crate::onnx;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the process listens, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its Unix socket.
    pub socket: PathBuf,
    /// For each call, connecting and greeting included. The trainer's thread waits at most this long.
    pub deadline: Duration,
    /// Wait after the first connection that ended badly; it doubles with each that follows.
    pub wait_min: Duration,
    /// The longest such wait.
    pub wait_max: Duration,
}

impl Options {
    /// With the usual times: a deadline of 1 s, which is the long end of the trainer's useful intervals, and waits of half
    /// a second to half a minute.
    pub fn at(socket: PathBuf) -> Options {
        Options {
            socket,
            deadline: Duration::from_secs(1),
            wait_min: Duration::from_millis(500),
            wait_max: Duration::from_secs(30),
        }
    }
}

/// Which model the process tunes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its name in the configuration.
    pub name: String,
    /// What it decides, as in the configuration.
    pub function: &'static str,
    /// Names the definition of its inputs.
    pub schema_hash: u64,
}

/// A user's tuner behind a Unix socket.
///
/// Connects when it is first asked, and again after a fault when its wait is over; until then it answers
/// [`Fault::Waiting`] at once. Each new connection is told of the network that was last good: the one that was last
/// frozen and could be read, or that [`reset`](Adapter::reset) gave.
#[derive(Debug)]
pub struct AdapterProcess {
    options: Options,
    subject: Subject,
    network: Network,
    stream: Option<Stream>,
    backoff: Backoff,
    watch: Arc<Watch>,
}

impl AdapterProcess {
    /// For a model that starts as `network`. Nothing is connected yet.
    pub fn new(options: Options, subject: Subject, network: Network) -> AdapterProcess {
        let backoff = Backoff::new(options.wait_min, options.wait_max);
        AdapterProcess { options, subject, network, stream: None, backoff, watch: Arc::default() }
    }

    /// Its counters, for others to look at while it is in use.
    pub fn watch(&self) -> Arc<Watch> {
        Arc::clone(&self.watch)
    }

    /// Asks, connecting first where need be, and takes from the answer what `read` finds in it.
    fn ask<T>(
        &mut self,
        call: Call,
        body: impl FnOnce(&mut Vec<u8>),
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let outcome = self.attempt(call, body, read);
        match &outcome {
            Ok(_) => {
                self.watch.answered();
                self.backoff.answered();
            }
            Err(fault) => {
                self.watch.failed(fault);
                if fault.ends_connection() {
                    self.stream = None;
                }
                if self.stream.is_none() {
                    self.watch.disconnected();
                    match fault {
                        Fault::Waiting => {}
                        Fault::Unsuitable(_) => self.backoff.hopeless(Instant::now()),
                        _ => self.backoff.failed(Instant::now()),
                    }
                }
            }
        }
        outcome
    }

    fn attempt<T>(
        &mut self,
        call: Call,
        body: impl FnOnce(&mut Vec<u8>),
        read: impl FnOnce(&[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let now = Instant::now();
        let deadline = now + self.options.deadline;
        if self.stream.is_none() {
            if !self.backoff.is_over(now) {
                return Err(Fault::Waiting);
            }
            self.stream = Some(self.greet(deadline)?);
        }
        match &mut self.stream {
            Some(stream) => read(stream.ask(call, deadline, body)?),
            // Greeted above.
            None => Err(Fault::Waiting),
        }
    }

    fn greet(&self, deadline: Instant) -> Result<Stream, Fault> {
        let mut stream = Stream::connect(&self.options.socket)?;
        let onnx = onnx::export(&self.network, &self.subject.name);
        let hello = Hello {
            schema_hash: self.subject.schema_hash,
            inputs: self.network.inputs() as u32,
            outputs: self.network.outputs() as u32,
            deadline_ms: u32::try_from(self.options.deadline.as_millis()).unwrap_or(u32::MAX),
            name: &self.subject.name,
            function: self.subject.function,
            onnx: &onnx,
        };
        let peer = wire::ready(stream.ask(Call::Hello, deadline, |body| hello.write(body))?)?;
        self.watch.connected(peer);
        Ok(stream)
    }

    fn fits(&self, batch: &Batch) -> Result<(), AdaptError> {
        let (expected, found) = (self.network.inputs(), batch.width());
        if expected == found { Ok(()) } else { Err(AdaptError::Width { what: "a batch", expected, found }) }
    }
}

impl Adapter for AdapterProcess {
    fn adapt(&mut self, batch: &Batch) -> Result<AdaptReport, AdaptError> {
        self.fits(batch)?;
        let read = |body: &[u8]| {
            let (rows, steps, loss, gradient_norm) = wire::adapted(body)?;
            finite(Call::Adapt, "loss", loss)?;
            let rows = rows as usize;
            if rows > batch.len() {
                return Err(Fault::Value { call: Call::Adapt, what: "row count", found: rows as f64 });
            }
            Ok(AdaptReport { loss, gradient_norm, rows, steps: steps as usize })
        };
        Ok(self.ask(Call::Adapt, |body| wire::batch(body, batch), read)?)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<f64, AdaptError> {
        self.fits(batch)?;
        let read = |body: &[u8]| finite(Call::Evaluate, "stability value", wire::evaluated(body)?);
        Ok(self.ask(Call::Evaluate, |body| wire::batch(body, batch), read)?)
    }

    fn freeze(&mut self) -> Result<Network, AdaptError> {
        let expected = [self.network.inputs(), self.network.outputs()];
        let name = self.options.socket.clone();
        let read = |body: &[u8]| {
            let network = onnx::import_bytes(body, &name)?;
            let found = [network.inputs(), network.outputs()];
            if found == expected { Ok(network) } else { Err(Fault::Shape { expected, found }) }
        };
        self.network = self.ask(Call::Freeze, |_| {}, read)?;
        Ok(self.network.clone())
    }

    /// Whether or not the process can be told now: a connection that is made later begins with the network.
    fn reset(&mut self, network: &Network) -> Result<(), AdaptError> {
        for (what, expected, found) in [
            ("inputs", self.network.inputs(), network.inputs()),
            ("outputs", self.network.outputs(), network.outputs()),
        ] {
            if expected != found {
                return Err(AdaptError::Width { what, expected, found });
            }
        }
        self.network = network.clone();
        if self.stream.is_some() {
            let onnx = onnx::export(&self.network, &self.subject.name);
            if self.ask(Call::Reset, |body| body.extend_from_slice(&onnx), |_| Ok(())).is_err() {
                // It may go on from what it had: only a new connection makes sure that it does not.
                self.stream = None;
                self.watch.disconnected();
            }
        }
        Ok(())
    }
}

fn finite(call: Call, what: &'static str, found: f64) -> Result<f64, Fault> {
    if found.is_finite() { Ok(found) } else { Err(Fault::Value { call, what, found }) }
}

impl From<Fault> for AdaptError {
    fn from(fault: Fault) -> AdaptError {
        AdaptError::Process(fault.to_string())
    }
}
