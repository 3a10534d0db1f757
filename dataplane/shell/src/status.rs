//! What the control thread knows and the HTTP threads show. Small, behind a mutex that no worker ever touches.

use crate::board::BoardReader;
use crate::calendar::unix_seconds;
use crate::control::learning::ModelsReport;
use crate::control::protocol::{
    ConfigReport, Decisions, Drops, LastReload, LimitReport, ModelReport, PathReport, PortReport,
    ReloadResult, Reloaded, ScheduleReport, StatusReport, WorkerReport,
};
use crate::http::Response;
use crate::learning::{self, ModelLearning, TrainerStatus};
use crate::meter::{LimitRates, Meter, Rates};
use crate::metrics::{self, View};
use crate::report::{Report, WORDS};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weir_engine::balance::PathStats;
use weir_engine::counters::Stat;
use weir_engine::io::Side;
use weir_engine::limit::{LimitConfig, LimitStats, Limits};
use weir_engine::verdict::Verdict;

/// A worker that has not finished a turn for this long is stuck: a turn takes microseconds, and the kernel gives
/// a starved thread its core back within a fraction of a second.
const HEARTBEAT_MAX: Duration = Duration::from_secs(2);

/// One port, as last looked at. Shown as it is on the control socket: its names are part of that interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Frames that arrived with a partial checksum, which Weir completed.
    pub rx_partial_checksums: u64,
    /// Frames that the device failed to send.
    pub tx_errors: u64,
}

/// Frame buffers. Shown as they are on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The file that the configuration names.
    pub file: PathBuf,
    /// The generation before it that flows may still be bound to.
    pub previous: Option<u32>,
}

/// A path as the configuration names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathName {
    /// Its name.
    pub name: String,
    /// What it is made of, such as `vxlan 10.9.1.1 > 10.9.1.2`.
    pub made_of: String,
}

/// Everything that control knows.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The configuration and its reloads.
    pub config: ConfigReport,
    /// Each worker's core.
    pub cores: Vec<usize>,
    /// By side.
    pub ports: Vec<PortStatus>,
    /// Where there is a pool.
    pub buffers: Option<BufferStatus>,
    /// Named paths, in the configuration's order.
    pub paths: Vec<PathName>,
    /// The limits that hold.
    pub limits: Limits,
    /// Published snapshots.
    pub models: Vec<ModelStatus>,
    /// The trainer's thread, where the configuration asks for one.
    pub trainer: Option<TrainerStatus>,
    /// The models that it adapts.
    pub learning: Vec<ModelLearning>,
    /// Whether every function has a snapshot or a rule that decides.
    pub decides: bool,
    /// Weir is stopping.
    pub stopping: bool,
    /// Samples that have been taken from the lanes.
    pub samples_drained: u64,
    /// Unix time of the start.
    pub started_unix_seconds: f64,
}

impl Status {
    /// Books a reload.
    pub fn record(&mut self, outcome: &Reloaded, unix_seconds: f64) {
        let config = &mut self.config;
        match outcome.result {
            ReloadResult::Applied => {
                config.applied += 1;
                config.loaded_unix_seconds = unix_seconds;
            }
            ReloadResult::Unchanged => config.unchanged += 1,
            ReloadResult::Refused => config.refused += 1,
        }
        config.last = Some(LastReload { unix_seconds, outcome: outcome.clone() });
    }
}

/// The shared handle: control writes, HTTP threads read.
#[derive(Clone)]
pub struct Shared {
    status: Arc<Mutex<Status>>,
    /// By worker index.
    heartbeats: Arc<Mutex<Vec<Heartbeat>>>,
    meter: Arc<Mutex<Meter>>,
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
            meter: Arc::default(),
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

    /// Renews the rates once a second. To be called every now and then: control does.
    pub fn measure(&self) {
        self.lock_meter().look(Instant::now(), || self.reports());
    }

    fn lock_meter(&self) -> std::sync::MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// What `weir ctl status` shows.
    pub fn status_report(&self) -> StatusReport {
        let (status, now) = (self.status(), unix_seconds());
        let reports = self.reports();
        let (rates, limit_rates) = {
            let meter = self.lock_meter();
            (meter.rates().to_vec(), meter.limit_rates().clone())
        };
        let seconds = |ticks: u64| ticks as f64 / self.tsc_hz.max(1) as f64;
        let workers = reports.iter().enumerate().map(|(index, report)| {
            let core = status.cores.get(index).copied().unwrap_or(0);
            let rates = rates.get(index).copied().unwrap_or_default();
            worker_report([index, core], report, rates, seconds(report.cycles.turn_max))
        });
        let sum = |name: &str, label: &str| -> u64 {
            let all = reports.iter().flat_map(|report| &report.stats);
            let ours = |stat: &&Stat| stat.name == name && stat.label.map_or("", |(_, value)| value) == label;
            all.filter(ours).map(|stat| stat.value).sum()
        };
        let decided = |source: &str| sum("pacing_decisions_total", source);
        let scheduled = |source: &str| sum("scheduled_flows_total", source);
        let schedule = ScheduleReport {
            model: scheduled("model"),
            rule: scheduled("rule"),
            control: scheduled("control"),
            waiting: sum("shaper_frames", ""),
            left: std::array::from_fn(|priority| sum("shaped_frames_total", &priority.to_string())),
        };
        StatusReport {
            weir: env!("CARGO_PKG_VERSION").to_owned(),
            dpdk: crate::version::DPDK.to_owned(),
            pid: std::process::id(),
            unix_seconds: now,
            started_unix_seconds: status.started_unix_seconds,
            hindrances: self.hindrances(&status).lines().map(str::to_owned).collect(),
            ports: Side::ALL.iter().zip(status.ports.iter().cloned()).map(port_report).collect(),
            buffers: status.buffers,
            workers: workers.collect(),
            paths: status
                .paths
                .iter()
                .enumerate()
                .map(|(index, path)| path_report(index, path, &reports))
                .collect(),
            limits: status
                .limits
                .iter()
                .enumerate()
                .map(|(index, limit)| limit_report((index, limit), &status.limits, &reports, &limit_rates))
                .collect(),
            models: status.models.iter().map(|model| model_report(model, now)).collect(),
            decisions: Decisions {
                model: decided("model"),
                explored: decided("explored"),
                rule: decided("rule"),
                control: decided("control"),
            },
            schedule: (schedule != ScheduleReport::default()).then_some(schedule),
            config: status.config,
        }
    }

    /// What `weir ctl models` shows.
    pub fn models_report(&self) -> ModelsReport {
        learning::report(&self.status(), unix_seconds())
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

fn worker_report(
    [worker, core]: [usize; 2],
    report: &Report,
    rates: Rates,
    turn_seconds_max: f64,
) -> WorkerReport {
    let dropped = Verdict::ALL.into_iter().filter(|verdict| !verdict.sent());
    let drops = dropped.map(|verdict| Drops {
        verdict: verdict.name().to_owned(),
        frames: report.tally.ended[verdict as usize],
    });
    WorkerReport {
        worker,
        core,
        received_frames_per_second: rates.received_frames,
        received_bits_per_second: rates.received_bits,
        sent_frames_per_second: rates.sent_frames,
        sent_bits_per_second: rates.sent_bits,
        busy_share: rates.busy_share,
        turn_seconds_max,
        flows: report.stat("flows"),
        paced_flows: report.stat("flows_paced"),
        held_frames: report.tally.held,
        drops: drops.filter(|drops| drops.frames > 0).collect(),
    }
}

/// A path as all workers see it, each from its own flows and probes.
fn path_report(index: usize, path: &PathName, reports: &[Report]) -> PathReport {
    let seen: Vec<PathStats> = reports.iter().filter_map(|report| report.paths.get(index)).copied().collect();
    let sum = |of: fn(&PathStats) -> u64| seen.iter().map(of).sum::<u64>();
    let share = |q16: u64| q16 as f64 / 65_536.0;
    let known: Vec<u64> = seen.iter().map(|path| path.rtt_ns).filter(|rtt| *rtt > 0).collect();
    let base = seen.iter().map(|path| path.base_rtt_ns).filter(|rtt| *rtt > 0).min().unwrap_or(0);
    let workers_up = sum(|path| path.up) as usize;
    PathReport {
        name: path.name.clone(),
        made_of: path.made_of.clone(),
        workers_up,
        workers: seen.len(),
        share: share(seen.iter().map(|path| path.share_q16).min().unwrap_or(0)),
        flows: sum(|path| path.flows),
        frames: sum(|path| path.frames),
        sent_bits_per_second: sum(|path| path.sent_bps) as f64,
        rtt_seconds: known.iter().sum::<u64>() as f64 / known.len().max(1) as f64 / 1e9,
        base_rtt_seconds: base as f64 / 1e9,
        loss_share: share(seen.iter().map(|path| path.loss_q16).max().unwrap_or(0)),
        ecn_share: share(seen.iter().map(|path| path.ecn_q16).max().unwrap_or(0)),
        probes: sum(|path| path.probes),
        answers: sum(|path| path.answers),
        failures: sum(|path| path.failures),
    }
}

/// A limit as all workers have kept it, those that still count under former limits left out.
fn limit_report(
    (index, limit): (usize, &LimitConfig),
    limits: &Limits,
    reports: &[Report],
    rates: &LimitRates,
) -> LimitReport {
    let counted = reports.iter().filter(|report| report.limits_number == limits.number());
    let counted: Vec<LimitStats> = counted.filter_map(|report| report.limits.get(index)).copied().collect();
    let sum = |of: fn(&LimitStats) -> u64| counted.iter().map(of).sum::<u64>();
    let rate = rates.sent_bits.get(index).filter(|_| rates.number == limits.number());
    LimitReport {
        name: limit.name.clone(),
        on: limit.scope.to_string(),
        rate_bits_per_second: limit.rate.0 as f64,
        sent_bits_per_second: rate.copied().unwrap_or(0.0),
        frames: sum(|limit| limit.frames),
        bytes: sum(|limit| limit.bytes),
        waits: sum(|limit| limit.waits),
        wait_seconds: sum(|limit| limit.wait_ns) as f64 / 1e9,
        marked: sum(|limit| limit.marks),
        dropped: sum(|limit| limit.dropped),
        held_bytes: sum(|limit| limit.held_bytes),
    }
}

fn port_report((side, status): (&Side, PortStatus)) -> PortReport {
    PortReport { side: side.name().to_owned(), status }
}

fn model_report(model: &ModelStatus, now: f64) -> ModelReport {
    ModelReport {
        name: model.name.clone(),
        function: model.function.to_owned(),
        generation: model.generation,
        precision: model.precision.to_owned(),
        executor: model.executor.to_owned(),
        schema: format!("{:016x}", model.schema_hash),
        checksum: format!("{:08x}", model.checksum),
        age_seconds: (now - model.published_unix_seconds).max(0.0),
    }
}
