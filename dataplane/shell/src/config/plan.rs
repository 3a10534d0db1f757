//! The relations between keys, and the checked result.

use super::error::ConfigError;
use super::ports::{Device, PortsPlan};
use super::schema::{File, ModelFunction, ModelKeys, ModelPrecision, PacingKeys, Pin as PinKey, Rule};
use super::source::Source;
use super::units::{Rate, Size, Span};
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use weir_engine::config::{EngineConfig, PacingConfig, PacingRule, Pin};
use weir_engine::io::Side;
use weir_engine::steer::LANE_FRAMES;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::{Input, InputSchema, PacingSpec, RATE_MAX_BPS, SchemaError};
use weir_snapshot::{Function, Precision};
use weir_trainer::{InputSpec, ModelSpec};

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub struct Plan {
    /// DPDK's environment; not used with capture files.
    pub eal: EalPlan,
    /// Who runs where; not used with capture files.
    pub cores: CorePlan,
    /// Where frames come from and go to.
    pub ports: PortsPlan,
    /// What each worker is told.
    pub engine: EngineConfig,
    /// How long a stop may wait for held frames to leave at their own time.
    pub drain_max: Ns,
    /// Every model that the file names, in its order.
    pub models: Vec<ModelPlan>,
    /// Which of `models` paces.
    pub pacing_model: Option<usize>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics: Option<SocketAddr>,
}

/// What DPDK's environment gets.
#[derive(Clone, Debug)]
pub struct EalPlan {
    /// Memory from hugepages, or from 4 KiB pages at about half the speed.
    pub hugepages: bool,
    /// Memory in MB (2^20 bytes).
    pub memory_mb: u32,
}

/// Which core does what.
#[derive(Clone, Debug)]
pub struct CorePlan {
    /// The core of the main thread: HTTP, publication, signals.
    pub control: usize,
    /// The core of each worker, by worker index.
    pub workers: Vec<usize>,
}

impl fmt::Display for CorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers: Vec<String> = self.workers.iter().map(usize::to_string).collect();
        let plural = if workers.len() == 1 { "" } else { "s" };
        write!(f, "control {}, worker{plural} {}", self.control, workers.join(", "))
    }
}

/// A model as the configuration describes it.
#[derive(Clone, Debug)]
pub struct ModelPlan {
    /// What to build.
    pub spec: ModelSpec,
    /// Features, clips, scales and history, checked.
    pub schema: InputSchema,
}

impl Plan {
    /// Reads what `source` holds and checks it. Touches no file; models are not read yet.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(source: &Source) -> Result<Plan, ConfigError> {
        let file: File = source.fill()?;
        let ports = PortsPlan::check(&file.ports, source)?;
        let cores = match ports {
            PortsPlan::Devices(_) => check_cores(&file, source)?,
            // Virtual time has no cores: one worker does it all.
            PortsPlan::Captures(_) => CorePlan { control: 0, workers: vec![0] },
        };
        let models = check_models(&file.model, source)?;
        let pacing_model = match file.pacing.as_ref().and_then(|pacing| pacing.model.as_deref()) {
            Some(wanted) => Some(find_model(wanted, &models, source)?),
            None => None,
        };
        let spec = match pacing_model.and_then(|index| models.get(index)) {
            Some(model) => model.schema.spec().clone(),
            None => PacingSpec::default(),
        };
        let pacing = match &file.pacing {
            Some(keys) => Some(check_pacing(keys, spec, source)?),
            None => None,
        };
        let keys = &file.engine;
        if keys.flow_idle_max.0 < Ns::from_secs(1) {
            return Err(
                source.error("engine.flow_idle_max", "expected at least 1s: a flow that pauses is not gone")
            );
        }
        if keys.drain_max.0 > Ns::from_secs(60) {
            return Err(source.error("engine.drain_max", "expected at most 60s: a stop should end"));
        }
        let engine = EngineConfig {
            seed: keys.seed.get(),
            flows_max: keys.flows_max.get_u32(),
            half_open_max: keys.half_open_max.get_u32(),
            flow_idle_max: keys.flow_idle_max.0,
            held_max: keys.held_max.get_u32(),
            pacing,
        };
        let eal = EalPlan { hugepages: file.eal.hugepages, memory_mb: file.eal.memory_mb.get_u32() };
        if let PortsPlan::Devices(devices) = &ports {
            check_queues(devices, cores.workers.len(), source)?;
            check_memory(&eal, &engine, cores.workers.len(), source)?;
        }
        let metrics = match &file.metrics {
            Some(keys) => Some(check_listen(&keys.listen, source)?),
            None => None,
        };
        Ok(Plan { eal, cores, ports, engine, drain_max: keys.drain_max.0, models, pacing_model, metrics })
    }

    /// Frame buffers for all of it.
    pub fn buffers(&self) -> u32 {
        u32::try_from(buffers(&self.engine, self.cores.workers.len())).unwrap_or(u32::MAX)
    }

    /// Where in the configuration a model stands.
    pub fn model_key(index: usize, key: &str) -> String {
        format!("model[{index}].{key}")
    }
}

/// Buffers that a worker's rings, caches, backlogs and bursts occupy besides the frames that its wheel holds: 1 024
/// descriptors in each of four queues make half of it.
const BUFFERS_BESIDES_HELD: u64 = 8_192;
/// A buffer's room for a frame of 1 518 bytes with its headroom and mbuf, rounded up to what DPDK takes for it.
const BUFFER_BYTES: u64 = 2_432;

/// Frame buffers for this many workers. Each may hold `held_max`, and have a full lane from each other one.
fn buffers(engine: &EngineConfig, workers: usize) -> u64 {
    let lanes = (workers as u64).saturating_sub(1) * LANE_FRAMES as u64;
    workers as u64 * (u64::from(engine.held_max) + BUFFERS_BESIDES_HELD + lanes)
}

fn check_memory(
    eal: &EalPlan,
    engine: &EngineConfig,
    workers: usize,
    source: &Source,
) -> Result<(), ConfigError> {
    // An eighth for rings, queues and DPDK's own books.
    let needed_mb = (buffers(engine, workers) * BUFFER_BYTES * 9 / 8).div_ceil(1 << 20);
    if needed_mb > u64::from(eal.memory_mb) {
        let each = if workers == 1 { String::new() } else { format!(" on each of {workers} workers") };
        let reason = format!(
            "expected at least {needed_mb} for engine.held_max = {} frames{each}, found {}",
            engine.held_max, eal.memory_mb
        );
        return Err(source.error("eal.memory_mb", reason));
    }
    Ok(())
}

/// Each worker sends through queues of its own. Of drivers that are told a number of queues, it must suffice; what another
/// device has shows when it is opened.
fn check_queues(devices: &[Device; 2], workers: usize, source: &Source) -> Result<(), ConfigError> {
    for (side, device) in Side::ALL.iter().zip(devices) {
        let Some((argument, queues)) = device.queues() else { continue };
        if queues.is_none_or(|queues| queues < workers as u64) {
            let found = queues.map_or("another value".to_owned(), |queues| queues.to_string());
            let reason = format!(
                "expected {argument}={workers} among the arguments of {}: {workers} in cores.workers need a transmit queue \
                 each; found {found}",
                device.name()
            );
            return Err(source.error(&format!("ports.{}", side.name()), reason));
        }
    }
    Ok(())
}

fn check_cores(file: &File, source: &Source) -> Result<CorePlan, ConfigError> {
    let keys = &file.cores;
    let allowed = weir_cpu::allowed_cpus().map_err(|error| source.error("cores", error))?;
    let exists = |key: &str, core: u64| {
        let core = core as usize;
        if allowed.contains(&core) {
            return Ok(core);
        }
        Err(source.error(
            key,
            format!("expected one of the cores that this process may use {allowed:?}, found {core}"),
        ))
    };
    let control = exists("cores.control", keys.control.get())?;
    if keys.workers.is_empty() {
        return Err(source.error("cores.workers", "expected at least one core, found none"));
    }
    let mut seen = BTreeSet::new();
    let mut workers = Vec::with_capacity(keys.workers.len());
    for (index, worker) in keys.workers.iter().enumerate() {
        let key = format!("cores.workers[{index}]");
        let worker = exists(&key, worker.get())?;
        if !seen.insert(worker) {
            return Err(source.error(&key, format!("expected each core once, found {worker} twice")));
        }
        if worker == control && !keys.shared {
            let reason = format!(
                "expected another core than cores.control ({control}); cores.shared = true allows it, at the cost of \
                 gaps in the worker's polling whenever control runs"
            );
            return Err(source.error(&key, reason));
        }
        workers.push(worker);
    }
    Ok(CorePlan { control, workers })
}

fn check_models(keys: &[ModelKeys], source: &Source) -> Result<Vec<ModelPlan>, ConfigError> {
    let mut models: Vec<ModelPlan> = Vec::new();
    for (index, model) in keys.iter().enumerate() {
        let at = |key: &str| Plan::model_key(index, key);
        let named = !model.name.is_empty()
            && model.name.len() <= 32
            && model.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !named {
            let reason = format!("expected 1 to 32 letters, digits, `_` or `-`, found {:?}", model.name);
            return Err(source.error(&at("name"), reason));
        }
        if models.iter().any(|other| other.spec.name == model.name) {
            return Err(
                source.error(&at("name"), format!("expected each name once, found {:?} twice", model.name))
            );
        }
        let inputs: Vec<Input<'_>> = model
            .inputs
            .iter()
            .map(|input| Input {
                feature: &input.feature,
                scale: input.scale.0,
                offset: input.offset.0,
                clip: [input.clip[0].0, input.clip[1].0],
            })
            .collect();
        let history = model.history.get() as usize;
        let schema = InputSchema::pacing(&PacingSpec::default(), history, &inputs).map_err(|error| {
            let key = match error {
                SchemaError::History { .. } => "history".to_owned(),
                SchemaError::Feature { index } => format!("inputs[{index}].feature"),
                SchemaError::Scale { index } => format!("inputs[{index}].scale"),
                SchemaError::Offset { index } => format!("inputs[{index}].offset"),
                SchemaError::Clip { index } => format!("inputs[{index}].clip"),
                _ => "inputs".to_owned(),
            };
            source.error(&at(&key), error)
        })?;
        let precision = match model.precision {
            ModelPrecision::Bits8 => Precision::Bits8,
            ModelPrecision::Bits12 => Precision::Bits12,
        };
        let function = match model.function {
            ModelFunction::Pacing => Function::Pacing,
        };
        let inputs = inputs
            .iter()
            .map(|input| InputSpec {
                feature: input.feature.to_owned(),
                scale: input.scale,
                offset: input.offset,
                clip: input.clip,
            })
            .collect();
        let spec = ModelSpec {
            name: model.name.clone(),
            function,
            file: source.resolve(&model.file),
            precision,
            inputs,
            history,
            pacing: PacingSpec::default(),
        };
        models.push(ModelPlan { spec, schema });
    }
    Ok(models)
}

fn find_model(wanted: &str, models: &[ModelPlan], source: &Source) -> Result<usize, ConfigError> {
    if let Some(index) = models.iter().position(|model| model.spec.name == wanted) {
        return Ok(index);
    }
    let known: Vec<&str> = models.iter().map(|model| model.spec.name.as_str()).collect();
    let hint = match super::read::nearest(wanted, &known) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if known.is_empty() => "; the file has no [[model]]".to_owned(),
        None => format!("; there is {}", known.join(", ")),
    };
    Err(source.error("pacing.model", format!("expected the name of a [[model]], found {wanted:?}{hint}")))
}

fn check_pacing(keys: &PacingKeys, spec: PacingSpec, source: &Source) -> Result<PacingConfig, ConfigError> {
    let at = |key: &str| format!("pacing.{key}");
    let refuse = |key: &str, reason: String| Err(source.error(&at(key), reason));
    let (rate_min, rate_start, rate_max) = (keys.rate_min, keys.rate_start, keys.rate_max);
    if rate_min < RATE_MIN {
        return refuse("rate_min", format!("expected at least {RATE_MIN}, found {rate_min}"));
    }
    if rate_max > RATE_MAX {
        return refuse("rate_max", format!("expected at most {RATE_MAX}, found {rate_max}"));
    }
    if rate_max < rate_min {
        return refuse(
            "rate_max",
            format!("expected at least pacing.rate_min = {rate_min}, found {rate_max}"),
        );
    }
    let within = format!("expected from pacing.rate_min = {rate_min} to pacing.rate_max = {rate_max}");
    if !(rate_min..=rate_max).contains(&rate_start) {
        return refuse("rate_start", format!("{within}, found {rate_start}"));
    }
    let rule = match (keys.rule, keys.rate) {
        (Rule::Fixed, Some(rate)) if (rate_min..=rate_max).contains(&rate) => PacingRule::Fixed(rate.0),
        (Rule::Fixed, Some(rate)) => return refuse("rate", format!("{within}, found {rate}")),
        (Rule::Fixed, None) => {
            return refuse("rule", "\"fixed\" needs pacing.rate, such as \"20Mbps\"".to_owned());
        }
        (_, Some(_)) => return refuse("rate", "expected only with pacing.rule = \"fixed\"".to_owned()),
        (Rule::None, None) => PacingRule::None,
        (Rule::BbrLite, None) => PacingRule::BbrLite,
    };
    let (mark_delay, delay_max) = (keys.mark_delay, keys.delay_max);
    if delay_max.0 == Ns::ZERO || delay_max > DELAY_MAX {
        return refuse(
            "delay_max",
            format!("expected more than 0 and at most {DELAY_MAX}, found {delay_max}"),
        );
    }
    if mark_delay > delay_max {
        return refuse(
            "mark_delay",
            format!("expected at most pacing.delay_max = {delay_max}, found {mark_delay}"),
        );
    }
    let held = keys.flow_held_bytes_max;
    if !(HELD_BYTES_MIN..=HELD_BYTES_MAX).contains(&held) {
        let reason =
            format!("expected from {HELD_BYTES_MIN}, one full frame, to {HELD_BYTES_MAX}, found {held}");
        return refuse("flow_held_bytes_max", reason);
    }
    let flow_held_bytes_max = u32::try_from(held.0).unwrap_or(u32::MAX);
    let pin = match (keys.pin, keys.pin_max) {
        (PinKey::Interval, None) => Pin::Interval,
        (PinKey::Interval, Some(_)) => {
            return refuse("pin_max", "expected only with pacing.pin = \"flow\"".to_owned());
        }
        (PinKey::Flow, Some(max)) if max.0 > Ns::ZERO => Pin::Flow { max: max.0 },
        (PinKey::Flow, Some(_)) => return refuse("pin_max", "expected more than 0".to_owned()),
        (PinKey::Flow, None) => {
            return refuse("pin", "\"flow\" needs pacing.pin_max, such as \"2s\"".to_owned());
        }
    };
    Ok(PacingConfig {
        rule,
        model: keys.model.is_some(),
        spec,
        rate_min: rate_min.0,
        rate_max: rate_max.0,
        rate_start: rate_start.0,
        control_share: keys.control_share.in_65536(),
        sample_share: keys.sample_share.in_65536(),
        mark_delay: mark_delay.0,
        delay_max: delay_max.0,
        flow_held_bytes_max,
        pin,
    })
}

/// A frame held longer than this has been given up by its sender: TCP's first retransmission timeout is 1 s
/// (RFC 6298).
const DELAY_MAX: Span = Span(Ns::from_secs(1));
/// Below it, one full frame takes over a second.
const RATE_MIN: Rate = Rate(BitsPerSec(16_000));
/// Where the engine's arithmetic ends.
const RATE_MAX: Rate = Rate(BitsPerSec(RATE_MAX_BPS));
/// 1 500 bytes of IP, Ethernet header and two VLAN tags.
const HELD_BYTES_MIN: Size = Size(1_522);
const HELD_BYTES_MAX: Size = Size(1 << 30);

fn check_listen(text: &str, source: &Source) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        source.error(
            "metrics.listen",
            format!("expected an address and port such as \"127.0.0.1:9464\", found {text:?}"),
        )
    })
}
