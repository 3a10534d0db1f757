//! What the control thread knows and the HTTP threads show. Small, behind a mutex that no worker ever touches.

use crate::board::BoardReader;
use crate::http::Response;
use crate::metrics::{self, View};
use crate::report::{Report, WORDS};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A worker that has not finished a turn for this long is stuck: a turn takes microseconds, and the kernel gives
/// a starved thread its core back within a fraction of a second.
const HEARTBEAT_MAX: Duration = Duration::from_secs(2);

/// One port, as last looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortStatus {
    /// The device's name.
    pub name: String,
    /// It is there and its link is up.
    pub up: bool,
    /// Times that it was seen to go down or away.
    pub downs: u64,
    /// Frames that the device dropped because no one fetched them in time.
    pub rx_missed: u64,
    /// Frames that the device found broken.
    pub rx_errors: u64,
    /// Frames that found no free buffer.
    pub rx_no_buffer: u64,
    /// Frames that the device failed to send.
    pub tx_errors: u64,
}

/// Frame buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferStatus {
    /// All there are.
    pub total: u32,
    /// In rings, held or on their way.
    pub in_use: u32,
}

/// A published snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStatus {
    /// Its name in the configuration.
    pub name: String,
    /// What it decides.
    pub function: &'static str,
    /// Its number.
    pub generation: u32,
    /// `8bit` or `12bit`.
    pub precision: &'static str,
    /// Which executor runs it.
    pub executor: &'static str,
    /// Names its inputs' definition.
    pub schema_hash: u64,
    /// CRC-32C of the snapshot.
    pub checksum: u32,
    /// Unix time of publication.
    pub published_unix_seconds: f64,
}

/// Everything that control knows.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// By side.
    pub ports: Vec<PortStatus>,
    /// Where there is a pool.
    pub buffers: Option<BufferStatus>,
    /// Published snapshots.
    pub models: Vec<ModelStatus>,
    /// Whether every function has a snapshot or a rule that decides.
    pub decides: bool,
    /// Weir is stopping.
    pub stopping: bool,
    /// Samples that control has taken from the lanes.
    pub samples_drained: u64,
    /// Unix time of the start.
    pub started_unix_seconds: f64,
}

/// The shared handle: control writes, HTTP threads read.
#[derive(Clone)]
pub struct Shared {
    status: Arc<Mutex<Status>>,
    /// By worker index.
    heartbeats: Arc<Mutex<Vec<Heartbeat>>>,
    /// By worker index.
    boards: Arc<[BoardReader<WORDS>]>,
    tsc_hz: u64,
}

/// When a worker was last seen to publish.
struct Heartbeat {
    publication: u64,
    seen: Instant,
}

impl Shared {
    /// Around each worker's board, by worker index.
    pub fn new(status: Status, boards: Vec<BoardReader<WORDS>>, tsc_hz: u64) -> Shared {
        let seen = Instant::now();
        Shared {
            status: Arc::new(Mutex::new(status)),
            heartbeats: Arc::new(Mutex::new(
                boards.iter().map(|_| Heartbeat { publication: 0, seen }).collect(),
            )),
            boards: boards.into(),
            tsc_hz,
        }
    }

    /// Changes what control knows. A panic in here has left plain numbers behind: they stay usable.
    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// A copy of what control knows.
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Each worker's counters of one moment, which need not be another worker's.
    pub fn reports(&self) -> Vec<Report> {
        self.boards.iter().map(|board| Report::unpack(&board.read().0)).collect()
    }

    /// How long ago each worker's last publication was first seen. To be called every now and then: control does.
    pub fn silences(&self) -> Vec<Duration> {
        let mut heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        let look = |(heartbeat, board): (&mut Heartbeat, &BoardReader<WORDS>)| {
            let publication = board.read().1;
            if heartbeat.publication != publication {
                *heartbeat = Heartbeat { publication, seen: Instant::now() };
            }
            heartbeat.seen.elapsed()
        };
        heartbeats.iter_mut().zip(self.boards.iter()).map(look).collect()
    }

    /// Why Weir is not alive; empty when it is.
    fn ailments(&self) -> String {
        let mut text = String::new();
        for (worker, silence) in self.silences().iter().enumerate() {
            if *silence >= HEARTBEAT_MAX {
                // Writing to a String cannot fail.
                let _ =
                    writeln!(text, "worker {worker} has finished no turn for {:.1} s", silence.as_secs_f64());
            }
        }
        text
    }

    /// Why Weir is not ready; empty when it is.
    fn hindrances(&self, status: &Status) -> String {
        let mut text = self.ailments();
        if status.stopping {
            text.push_str("stopping\n");
        }
        for port in status.ports.iter().filter(|port| !port.up) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "port {} is down or gone", port.name);
        }
        if !status.decides {
            text.push_str("neither a snapshot nor a rule decides\n");
        }
        text
    }

    /// Answers a GET.
    pub fn answer(&self, path: &str) -> Response {
        let verdict = |hindrances: String| match hindrances.is_empty() {
            true => Response::text(200, "ok\n"),
            false => Response::text(503, hindrances),
        };
        match path {
            "/healthz" => verdict(self.ailments()),
            "/readyz" => verdict(self.hindrances(&self.status())),
            "/metrics" => {
                let status = self.status();
                let view = View {
                    reports: &self.reports(),
                    tsc_hz: self.tsc_hz,
                    ready: self.hindrances(&status).is_empty(),
                    status: &status,
                    unix_seconds: unix_seconds(),
                };
                match metrics::page(&view) {
                    Ok(body) => Response { status: 200, content_type: prometheus::TEXT_FORMAT, body },
                    Err(error) => Response::text(500, format!("{error}\n")),
                }
            }
            "/" => Response::text(200, "/metrics /healthz /readyz\n"),
            _ => Response::text(404, "there is /metrics, /healthz and /readyz\n"),
        }
    }
}

/// Unix time in seconds; 0 on a machine whose clock stands before 1970.
pub fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |span| span.as_secs_f64())
}
