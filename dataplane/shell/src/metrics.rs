//! The text of `/metrics`.
//!
//! Every scrape builds its page from one consistent [`Report`] per worker, so that in any scrape
//!
//! ```text
//!   weir_received_frames_total + weir_originated_frames_total + weir_steered_in_frames_total
//! = weir_verdicts_total + weir_held_frames + weir_steered_out_frames_total
//! ```
//!
//! holds over each worker's series, and therefore over all of them, although no two workers' reports are of the same
//! moment. The last of each line differ in sum by the frames that are between two workers (or seem to be: a report may be
//! older than the other's).
//!
//! No label has values that traffic can make: none is per flow, address or port number.

mod learning;

use crate::control::protocol::{ConfigReport, ReloadResult};
use crate::report::Report;
use crate::status::{ModelStatus, PortStatus, Status};
use prometheus::{CounterVec, GaugeVec, IntCounterVec, Opts, Registry, TextEncoder};
use std::collections::BTreeMap;
use weir_engine::balance::PathStats;
use weir_engine::counters::{Kind, Stat};
use weir_engine::io::Side;
use weir_engine::limit::LimitStats;
use weir_engine::verdict::Verdict;
use weir_engine::worker::Stage;

/// What a page shows.
pub struct View<'a> {
    /// Each worker's report, by worker index.
    pub reports: &'a [Report],
    /// Ticks of the time-stamp counter per second.
    pub tsc_hz: u64,
    /// What the control thread knows.
    pub status: &'a Status,
    /// Why Weir is not ready, if it is not.
    pub ready: bool,
    /// Unix time now, in seconds.
    pub unix_seconds: f64,
}

/// Renders a page.
///
/// # Errors
/// A metric's name or labels break Prometheus' rules, which a test of this crate excludes.
pub fn page(view: &View<'_>) -> Result<String, prometheus::Error> {
    let mut page = Page::new()?;
    let version = env!("CARGO_PKG_VERSION");
    page.gauge("build_info", "What this is.", &[("version", version), ("dpdk", crate::version::DPDK)], 1.0)?;
    page.gauge(
        "start_time_seconds",
        "Unix time at which Weir started.",
        &[],
        view.status.started_unix_seconds,
    )?;
    page.gauge("ready", "1 when /readyz answers 200.", &[], f64::from(u8::from(view.ready)))?;
    page.gauge("tsc_hertz", "Ticks per second of the counter behind all cycles.", &[], view.tsc_hz as f64)?;
    config(&mut page, &view.status.config)?;
    page.counter(
        "samples_drained_total",
        "Samples that have been taken from the workers' lanes.",
        &[],
        view.status.samples_drained,
    )?;
    for (index, report) in view.reports.iter().enumerate() {
        worker(&mut page, &index.to_string(), report, view.tsc_hz)?;
        let limits = &view.status.limits;
        // Another number: the worker has yet to take up the limits that a reload has just brought.
        let counted = (report.limits_number == limits.number()).then_some(&report.limits);
        for (limit, stats) in limits.iter().zip(counted.into_iter().flatten()) {
            self::limit(&mut page, &index.to_string(), &limit.name, stats)?;
        }
        for (path, stats) in view.status.paths.iter().zip(&report.paths) {
            self::path(&mut page, &index.to_string(), &path.name, stats)?;
        }
    }
    for limit in view.status.limits.iter() {
        page.gauge(
            "limit_rate_bytes_per_second",
            "How fast frames under a limit may leave, all together.",
            &[("limit", &limit.name)],
            limit.rate.0 as f64 / 8.0,
        )?;
    }
    for (side, port) in Side::ALL.iter().zip(&view.status.ports) {
        self::port(&mut page, side.name(), port)?;
    }
    if let Some(buffers) = &view.status.buffers {
        page.gauge("buffers", "Frame buffers that there are.", &[], f64::from(buffers.total))?;
        page.gauge(
            "buffers_in_use",
            "Frame buffers in receive rings, held frames and frames on their way.",
            &[],
            f64::from(buffers.in_use),
        )?;
    }
    for model in &view.status.models {
        self::model(&mut page, model, view.unix_seconds)?;
    }
    learning::learning(&mut page, view.status)?;
    page.finish()
}

fn worker(page: &mut Page, worker: &str, report: &Report, tsc_hz: u64) -> Result<(), prometheus::Error> {
    let tally = &report.tally;
    let by_side = [
        ("received_frames_total", "Frames received, by the side they came from.", tally.received),
        ("received_bytes_total", "Bytes received, by the side they came from.", tally.received_bytes),
        ("sent_frames_total", "Frames sent, by the side they left from.", tally.sent),
        ("sent_bytes_total", "Bytes sent, by the side they left from.", tally.sent_bytes),
    ];
    for (name, help, values) in by_side {
        for (side, value) in Side::ALL.iter().zip(values) {
            page.counter(name, help, &[("worker", worker), ("side", side.name())], value)?;
        }
    }
    let by_worker = [
        ("originated_frames_total", "Frames that Weir made.", tally.originated),
        (
            "steered_in_frames_total",
            "Frames of the worker's own flows that another worker received.",
            tally.steered_in,
        ),
        (
            "steered_out_frames_total",
            "Frames of another worker's flows that this one received and passed on.",
            tally.steered_out,
        ),
    ];
    for (name, help, value) in by_worker {
        page.counter(name, help, &[("worker", worker)], value)?;
    }
    for verdict in Verdict::ALL {
        let labels = [("worker", worker), ("verdict", verdict.name())];
        let ended = tally.ended[verdict as usize];
        page.counter(
            "verdicts_total",
            "Frames that ended, by how, those that Weir made too. Every frame ends once.",
            &labels,
            ended,
        )?;
    }

    let cycles = &report.cycles;
    let seconds = |ticks: u64| ticks as f64 / tsc_hz.max(1) as f64;
    let spent =
        "Cycles that the worker spent in turns that did something (busy) or found nothing to do (idle).";
    for (state, value) in [("busy", cycles.busy), ("idle", cycles.idle)] {
        page.counter("worker_cycles_total", spent, &[("worker", worker), ("state", state)], value)?;
    }
    page.counter(
        "inference_cycles_total",
        "Cycles spent in running networks, gathering and quantising their inputs included.",
        &[("worker", worker)],
        cycles.inference,
    )?;
    for stage in Stage::ALL {
        page.counter(
            "stage_cycles_total",
            "Cycles by stage of a turn, in one turn of 64. Per weir_stage_frames_total it is a frame's cost.",
            &[("worker", worker), ("stage", stage.name())],
            cycles.stages[stage as usize],
        )?;
    }
    page.counter(
        "stage_frames_total",
        "Frames received in the turns whose stages were timed.",
        &[("worker", worker)],
        cycles.stage_frames,
    )?;
    page.seconds(
        "inference_seconds_total",
        "The same in seconds; per weir_inferences_total it is the cost of one.",
        &[("worker", worker)],
        seconds(cycles.inference),
    )?;
    page.gauge(
        "worker_turn_seconds_max",
        "The longest turn of the last second, time away from the core included.",
        &[("worker", worker)],
        seconds(cycles.turn_max),
    )?;
    page.gauge(
        "wheel_lag_seconds_max",
        "How late the wheel was looked at after something had become due, at worst in the last second.",
        &[("worker", worker)],
        seconds(cycles.lag_max),
    )?;

    let held = "Frames inside now: waiting for their time (wheel), the link (shaper), their neighbour, or their port (backlog).";
    for stat in &report.stats {
        let place = match stat.name {
            "held_frames" => Some("wheel"),
            "shaper_frames" => Some("shaper"),
            "backlog_frames" => Some("backlog"),
            "neighbour_frames" => Some("neighbour"),
            _ => None,
        };
        if let Some(place) = place {
            let labels = [("worker", worker), ("place", place)];
            page.gauge("held_frames", held, &labels, stat.value as f64)?;
            continue;
        }
        let labels: Vec<(&str, &str)> = [("worker", worker)].into_iter().chain(stat.label).collect();
        page.stat(stat.kind, stat.name, stat.help, &labels, stat.value)?;
    }
    Ok(())
}

/// A path as one worker sees it.
fn path(page: &mut Page, worker: &str, path: &str, stats: &PathStats) -> Result<(), prometheus::Error> {
    let labels = [("worker", worker), ("path", path)];
    figures(page, &labels, |show| stats.each(show))
}

/// A limit as one worker keeps it.
fn limit(page: &mut Page, worker: &str, limit: &str, stats: &LimitStats) -> Result<(), prometheus::Error> {
    let labels = [("worker", worker), ("limit", limit)];
    figures(page, &labels, |show| stats.each(show))
}

/// Every figure that `each` shows, under these labels.
fn figures(
    page: &mut Page,
    labels: &[(&str, &str)],
    each: impl FnOnce(&mut dyn FnMut(Stat)),
) -> Result<(), prometheus::Error> {
    let mut shown = Ok(());
    each(&mut |stat| {
        let result = page.stat(stat.kind, stat.name, stat.help, labels, stat.value);
        if shown.is_ok() {
            shown = result;
        }
    });
    shown
}

/// The names of the last two are those that Prometheus and its exporters have for the same.
fn config(page: &mut Page, config: &ConfigReport) -> Result<(), prometheus::Error> {
    for result in ReloadResult::ALL {
        let count = match result {
            ReloadResult::Applied => config.applied,
            ReloadResult::Unchanged => config.unchanged,
            ReloadResult::Refused => config.refused,
        };
        page.counter("reloads_total", "Reloads, by result.", &[("result", result.name())], count)?;
    }
    let refused = config.last.as_ref().is_some_and(|last| last.outcome.result == ReloadResult::Refused);
    let successful = f64::from(u8::from(!refused));
    page.gauge("config_last_reload_successful", "1 unless the last reload was refused.", &[], successful)?;
    page.gauge(
        "config_last_reload_success_timestamp_seconds",
        "Unix time at which the configuration that holds was taken up.",
        &[],
        config.loaded_unix_seconds,
    )
}

fn port(page: &mut Page, side: &str, port: &PortStatus) -> Result<(), prometheus::Error> {
    page.gauge("port_info", "Which device a side is.", &[("side", side), ("port", &port.name)], 1.0)?;
    let up = f64::from(u8::from(port.up));
    page.gauge("port_up", "1 while the port is there and its link is up.", &[("side", side)], up)?;
    let counters = [
        ("port_down_total", "Times that the port was seen to go down or away.", port.downs),
        (
            "port_rx_missed_total",
            "Frames that the device dropped because no one fetched them in time.",
            port.rx_missed,
        ),
        ("port_rx_errors_total", "Frames that the device found broken.", port.rx_errors),
        ("port_rx_no_buffer_total", "Frames that found no free buffer.", port.rx_no_buffer),
        (
            "port_rx_partial_checksums_total",
            "Frames that arrived with a partial checksum, which Weir completed.",
            port.rx_partial_checksums,
        ),
        ("port_tx_errors_total", "Frames that the device failed to send.", port.tx_errors),
    ];
    for (name, help, value) in counters {
        page.counter(name, help, &[("side", side)], value)?;
    }
    Ok(())
}

fn model(page: &mut Page, model: &ModelStatus, unix_seconds: f64) -> Result<(), prometheus::Error> {
    let labels = [
        ("model", model.name.as_str()),
        ("function", model.function),
        ("generation", &model.generation.to_string()),
        ("precision", model.precision),
        ("executor", model.executor),
        ("schema", &format!("{:016x}", model.schema_hash)),
        ("checksum", &format!("{:08x}", model.checksum)),
    ];
    page.gauge("model_info", "The snapshot that decides.", &labels, 1.0)?;
    let age = (unix_seconds - model.published_unix_seconds).max(0.0);
    let name = [("model", model.name.as_str())];
    page.gauge("model_age_seconds", "Time since the snapshot was published.", &name, age)?;
    let generation = f64::from(model.generation);
    page.gauge("model_generation", "Number of the generation that decides.", &name, generation)
}

/// A page in the making. Vectors are made at their first sample.
struct Page {
    registry: Registry,
    counters: BTreeMap<String, IntCounterVec>,
    seconds: BTreeMap<String, CounterVec>,
    gauges: BTreeMap<String, GaugeVec>,
}

/// The engine counts in whole numbers of small units; Prometheus wants base units: the end of a name, what it is called there,
/// and how many of the one are one of the other.
const UNITS: [(&str, &str, f64); 3] = [
    ("_nanoseconds", "_seconds", 1e9),
    ("_q16", "_ratio", 65_536.0),
    ("_bits_per_second", "_bytes_per_second", 8.0),
];

/// The name and the value of a statistic in base units; `None` where it is in them.
fn in_base_units(name: &str, value: u64) -> Option<(String, f64)> {
    let (stem, total) = name.strip_suffix("_total").map_or((name, ""), |stem| (stem, "_total"));
    UNITS.iter().find_map(|(from, to, per)| {
        Some((format!("{}{to}{total}", stem.strip_suffix(from)?), value as f64 / per))
    })
}

type Labels<'a> = [(&'a str, &'a str)];

fn names<'a>(labels: &Labels<'a>) -> Vec<&'a str> {
    labels.iter().map(|(name, _)| *name).collect()
}
fn values<'a>(labels: &Labels<'a>) -> Vec<&'a str> {
    labels.iter().map(|(_, value)| *value).collect()
}

macro_rules! sample {
    ($page:ident.$map:ident, $vector:ident, $name:ident, $help:ident, $labels:ident) => {{
        if !$page.$map.contains_key($name) {
            let vector = $vector::new(Opts::new($name, $help), &names($labels))?;
            $page.registry.register(Box::new(vector.clone()))?;
            $page.$map.insert($name.to_owned(), vector);
        }
        match $page.$map.get($name) {
            Some(vector) => vector.get_metric_with_label_values(&values($labels))?,
            None => return Ok(()),
        }
    }};
}

impl Page {
    fn new() -> Result<Page, prometheus::Error> {
        Ok(Page {
            registry: Registry::new_custom(Some("weir".to_owned()), None)?,
            counters: BTreeMap::new(),
            seconds: BTreeMap::new(),
            gauges: BTreeMap::new(),
        })
    }

    /// A statistic of the engine, in base units.
    fn stat(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        labels: &Labels<'_>,
        value: u64,
    ) -> Result<(), prometheus::Error> {
        match (kind, in_base_units(name, value)) {
            (Kind::Counter, Some((name, value))) => self.seconds(&name, help, labels, value),
            (Kind::Counter, None) => self.counter(name, help, labels, value),
            (Kind::Gauge, Some((name, value))) => self.gauge(&name, help, labels, value),
            (Kind::Gauge, None) => self.gauge(name, help, labels, value as f64),
        }
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels<'_>,
        value: u64,
    ) -> Result<(), prometheus::Error> {
        sample!(self.counters, IntCounterVec, name, help, labels).inc_by(value);
        Ok(())
    }

    fn seconds(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels<'_>,
        value: f64,
    ) -> Result<(), prometheus::Error> {
        sample!(self.seconds, CounterVec, name, help, labels).inc_by(value);
        Ok(())
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        labels: &Labels<'_>,
        value: f64,
    ) -> Result<(), prometheus::Error> {
        sample!(self.gauges, GaugeVec, name, help, labels).set(value);
        Ok(())
    }

    fn finish(self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::learning::Learning;
    use crate::learning::{Measured, ModelLearning, TrainerStatus};
    use crate::report::WORDS;
    use crate::status::{BufferStatus, PathName};
    use std::sync::Arc;
    use weir_engine::limit::{LimitConfig, Limits, Scope};
    use weir_engine::time::{BitsPerSec, Ns};

    fn example() -> String {
        let words = std::array::from_fn(|index| index as u64 + 1);
        let status = Status {
            ports: vec![PortStatus { name: "net_null0".to_owned(), ..PortStatus::default() }; 2],
            buffers: Some(BufferStatus { total: 16_384, in_use: 2_048 }),
            paths: vec![PathName { name: "north".to_owned(), made_of: String::new() }],
            limits: Limits::new(vec![LimitConfig {
                name: "uplink".to_owned(),
                scope: Scope::All,
                rate: BitsPerSec::from_mbps(80),
                burst_bytes: 1_522,
                mark_delay: Ns::ZERO,
                delay_max: Ns::ZERO,
                queue_bytes: 0,
            }]),
            models: vec![ModelStatus {
                name: "aurora".to_owned(),
                function: "pacing",
                generation: 1,
                precision: "8bit",
                executor: "scalar",
                schema_hash: 0xABC,
                checksum: 1,
                published_unix_seconds: 50.0,
                file: "aurora.onnx".into(),
                previous: None,
            }],
            trainer: Some(TrainerStatus {
                running: true,
                steps: 4,
                step_seconds: 0.5,
                ..TrainerStatus::default()
            }),
            learning: vec![ModelLearning {
                name: "aurora".to_owned(),
                learning: Learning::Frozen,
                why: None,
                tuner: String::new(),
                adapter: Some(("tuner.sock".into(), Arc::default())),
                generations: Vec::new(),
                swaps: vec![("adapted", 2), ("rolled_back", 1)],
                samples: vec![("taken", 5), ("held_out", 1)],
                window_rows: [6, 7],
                tuned_steps: 8,
                taught_steps: 3,
                measured: Measured { reward_model: 0.75, ..Measured::default() },
                candidates: vec![("accepted", 2), ("unnecessary", 9)],
                refusals: Vec::new(),
            }],
            samples_drained: 3,
            started_unix_seconds: 40.0,
            ..Status::default()
        };
        let mut reports =
            [Report::unpack(&(words as [u64; WORDS])), Report::unpack(&(words as [u64; WORDS]))];
        // The second worker still counts under former limits.
        reports[0].limits_number = status.limits.number();
        let limit = LimitStats { frames: 5, bytes: 600, wait_ns: 2_000_000_000, ..LimitStats::default() };
        reports[0].limits[0] = limit;
        page(&View {
            reports: &reports,
            tsc_hz: 2_000_000_000,
            status: &status,
            ready: true,
            unix_seconds: 60.0,
        })
        .unwrap()
    }

    #[test]
    fn names_help_and_units_keep_the_conventions() {
        let text = example();
        let mut kinds = BTreeMap::new();
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(kinds.insert(name, kind).is_none(), "{name} twice");
                assert!(name.starts_with("weir_"), "{name}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
                for not_base in ["nanoseconds", "milliseconds", "bits", "percent"] {
                    assert!(!name.contains(not_base), "{name}");
                }
            }
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(help.ends_with('.'), "{help}");
            }
        }
        assert!(kinds.len() > 40, "{}", kinds.len());
        assert!(text.contains("weir_model_age_seconds{model=\"aurora\"} 10\n"), "{text}");
        assert!(text.contains("weir_interval_seconds_total{source=\"model\",worker=\"0\"}"), "{text}");
        assert!(text.contains("weir_build_info{"), "{text}");
        for line in [
            "weir_limit_rate_bytes_per_second{limit=\"uplink\"} 10000000",
            "weir_limit_frames_total{limit=\"uplink\",worker=\"0\"} 5",
            "weir_limit_bytes_total{limit=\"uplink\",worker=\"0\"} 600",
            "weir_limit_wait_seconds_total{limit=\"uplink\",worker=\"0\"} 2",
            "weir_limit_waits_total{limit=\"uplink\",worker=\"0\"} 0",
            "weir_limit_dropped_total{limit=\"uplink\",worker=\"0\"} 0",
            "weir_limit_ecn_marks_total{limit=\"uplink\",worker=\"0\"} 0",
            "weir_limit_held_bytes{limit=\"uplink\",worker=\"0\"} 0",
            "weir_trainer_step_seconds_total 0.5",
            "weir_model_learning{model=\"aurora\",state=\"frozen\"} 1",
            "weir_model_learning{model=\"aurora\",state=\"adapting\"} 0",
            "weir_live_reward{flows=\"model\",model=\"aurora\"} 0.75",
            "weir_live_reward{flows=\"control\",model=\"aurora\"} NaN",
            "weir_candidates_total{model=\"aurora\",verdict=\"unnecessary\"} 9",
            "weir_model_swaps_total{model=\"aurora\",origin=\"rolled_back\"} 1",
            "weir_adapter_faults_total{model=\"aurora\",reason=\"late\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("limit=\"uplink\",worker=\"1\""), "counts of other limits: {text}");
        // Frames that are anywhere else would be missing from the books.
        for place in ["wheel", "shaper", "neighbour", "backlog"] {
            let series = format!("weir_held_frames{{place=\"{place}\",worker=\"0\"}}");
            assert!(text.contains(&series), "{text}");
        }
        for source in ["model", "explored", "control"] {
            assert!(
                text.contains(&format!("weir_samples_total{{source=\"{source}\",worker=\"0\"}}")),
                "{text}"
            );
        }
    }

    #[test]
    fn statistics_are_shown_in_base_units() {
        for (name, value, shown) in [
            ("interval_nanoseconds_total", 5_000_000_000, Some(("interval_seconds_total", 5.0))),
            ("path_rtt_nanoseconds", 500_000_000, Some(("path_rtt_seconds", 0.5))),
            ("path_ecn_q16", 16_384, Some(("path_ecn_ratio", 0.25))),
            ("path_sent_bits_per_second", 80, Some(("path_sent_bytes_per_second", 10.0))),
            ("schedule_completions_total", 7, None),
            ("held_frames", 7, None),
        ] {
            let shown = shown.map(|(name, value): (&str, f64)| (name.to_owned(), value));
            assert_eq!(in_base_units(name, value), shown);
        }
    }

    #[test]
    fn no_label_is_one_that_traffic_can_fill() {
        let closed = [
            "worker", "side", "verdict", "source", "limit", "state", "stage", "place", "port", "model",
            "function", "result",
        ];
        let closed = [
            closed.as_slice(),
            &["generation", "precision", "executor", "schema", "checksum", "version", "dpdk"],
            &["kind", "reason", "fault", "standing", "fate", "flows", "origin", "priority", "path"],
        ]
        .concat();
        for line in example().lines().filter(|line| !line.starts_with('#')) {
            let Some((_, labels)) = line.split_once('{') else { continue };
            for pair in labels.split('}').next().unwrap_or("").split(',') {
                let name = pair.split('=').next().unwrap_or("");
                assert!(closed.contains(&name), "{name} in {line}");
            }
        }
    }
}
