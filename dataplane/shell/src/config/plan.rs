//! The relations between keys, and the checked result.

use super::adapt::{self, AdaptPlan};
use super::balance;
use super::datagrams;
use super::error::ConfigError;
use super::limit;
use super::ports::{Device, PortsPlan};
use super::route;
use super::schedule;
use super::schema::{
    File, ModelFunction, ModelKeys, PacingCadence as PacingCadenceKey, PacingKeys, Pin as PinKey, Rule,
};
use super::source::Source;
use super::trainer::{self, TrainerPlan};
use super::units::{Rate, Share, Size, Span};
use crate::status::PathName;
use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use weir_engine::balance::{PathConfig, Wrap};
use weir_engine::config::{EngineConfig, PIN_MAX, PacingConfig, PacingRule, Pin};
use weir_engine::io::Side;
use weir_engine::steer::LANE_FRAMES;
use weir_engine::time::{BitsPerSec, Ns};
use weir_features::{Input, InputSchema, ONE, PacingSpec, PathSchema, RATE_MAX_BPS, SchemaError, SizeSchema};
use weir_snapshot::Function;
use weir_trainer::reward::Preference;
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
    /// Largest IP packet of both ports; `None` leaves what the devices have.
    pub mtu: Option<u16>,
    /// In mode `route`, by side: its Ethernet address is to be the port's; `engine` has zeros until the port is known.
    pub mac_of_port: [bool; 2],
    /// What each worker is told.
    pub engine: EngineConfig,
    /// How long a stop may wait for held frames to leave at their own time.
    pub drain_max: Ns,
    /// Every model that the file names, in its order.
    pub models: Vec<ModelPlan>,
    /// Which of `models` paces.
    pub pacing_model: Option<usize>,
    /// Which of `models` chooses paths.
    pub path_model: Option<usize>,
    /// Which of `models` predicts flow sizes.
    pub size_model: Option<usize>,
    /// Who adapts those of `models` that may learn.
    pub trainer: Option<TrainerPlan>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub metrics: Option<SocketAddr>,
    /// The control socket.
    pub control: Option<PathBuf>,
    /// Every key with its value, defaults included.
    pub(super) keys: serde_json::Value,
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
    /// The cores that the process was given. DPDK binds its threads, so a running weir cannot ask again.
    pub(super) allowed: Vec<usize>,
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
    pub schema: ModelSchema,
    /// How it learns, if it does.
    pub adapt: Option<AdaptPlan>,
}

/// What a model is shown.
#[derive(Clone, Debug)]
pub enum ModelSchema {
    /// A pacing model.
    Pacing(InputSchema),
    /// One that chooses paths.
    Balance(PathSchema),
    /// One that predicts flow sizes.
    Schedule(SizeSchema),
}

impl ModelSchema {
    /// What its snapshots carry.
    pub fn hash(&self) -> u64 {
        match self {
            ModelSchema::Pacing(schema) => schema.hash(),
            ModelSchema::Balance(schema) => schema.hash(),
            ModelSchema::Schedule(schema) => schema.hash(),
        }
    }

    /// What a pacing model is shown; the definitions' own where it is another's.
    pub fn pacing_spec(&self) -> PacingSpec {
        match self {
            ModelSchema::Pacing(schema) => schema.spec().clone(),
            ModelSchema::Balance(_) | ModelSchema::Schedule(_) => PacingSpec::default(),
        }
    }
}

impl Plan {
    /// Reads what `source` holds and checks it. Of the files that it names only a distribution of flow sizes is read; models
    /// are not yet.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(source: &Source) -> Result<Plan, ConfigError> {
        Plan::check_beside(None, source)
    }

    /// The same in a process that runs the plan `started` already.
    pub(super) fn check_beside(started: Option<&Plan>, source: &Source) -> Result<Plan, ConfigError> {
        let file: File = source.fill()?;
        let ports = PortsPlan::check(&file.ports, source)?;
        let mtu = match (&file.ports.mtu, &ports) {
            (Some(mtu), PortsPlan::Devices(devices))
                if devices.iter().any(|device| device.name().starts_with("net_af_packet")) =>
            {
                let reason = format!(
                    "expected none with net_af_packet, which takes its interface's: `ip link set IFACE mtu {}`, and \
                     a framesz that holds it",
                    mtu.get()
                );
                return Err(source.error("ports.mtu", reason));
            }
            (Some(_), PortsPlan::Captures(_)) => {
                return Err(
                    source.error("ports.mtu", "expected only with devices: a capture holds any frame")
                );
            }
            (mtu, _) => mtu.as_ref().map(|mtu| mtu.get() as u16),
        };
        let cores = match ports {
            PortsPlan::Devices(_) => {
                let allowed = match started {
                    Some(plan) => plan.cores.allowed.clone(),
                    None => weir_cpu::permitted_cpus().map_err(|error| source.error("cores", error))?,
                };
                check_cores(&file, allowed, source)?
            }
            // Virtual time has no cores: one worker does it all.
            PortsPlan::Captures(_) => CorePlan { control: 0, workers: vec![0], allowed: Vec::new() },
        };
        let mut models = check_models(&file.model, source)?;
        let pacing_model = match file.pacing.as_ref().and_then(|pacing| pacing.model.as_deref()) {
            Some(wanted) => Some(find_model("pacing.model", Function::Pacing, wanted, &models, source)?),
            None => None,
        };
        let path_model = match file.balance.as_ref().and_then(|balance| balance.model.as_deref()) {
            Some(wanted) => Some(find_model("balance.model", Function::Balance, wanted, &models, source)?),
            None => None,
        };
        let size_model = match file.schedule.as_ref().and_then(|schedule| schedule.model.as_deref()) {
            Some(wanted) => Some(find_model("schedule.model", Function::Schedule, wanted, &models, source)?),
            None => None,
        };
        let trainer = trainer::check(&file, &ports, &cores.allowed, source)?;
        for (index, (keys, model)) in file.model.iter().zip(&mut models).enumerate() {
            if let Some(keys) = &keys.adapt {
                let decides = match model.spec.function {
                    Function::Pacing => pacing_model,
                    Function::Balance => path_model,
                    Function::Schedule => size_model,
                };
                let decides = decides == Some(index);
                model.adapt = Some(adapt::check(keys, index, decides, &model.spec, &file, source)?);
            }
        }
        let spec = match pacing_model.and_then(|index| models.get(index)) {
            Some(model) => model.schema.pacing_spec(),
            None => PacingSpec::default(),
        };
        let pacing = match &file.pacing {
            Some(keys) => Some(check_pacing(keys, spec, source)?),
            None => None,
        };
        let size_spec = match size_model.and_then(|index| models.get(index)).map(|model| &model.schema) {
            Some(ModelSchema::Schedule(schema)) => Some(schema.spec()),
            _ => None,
        };
        let schedule = match &file.schedule {
            Some(keys) => Some(schedule::check(keys, size_spec, source)?),
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
        let mut route = route::check(&file, &ports, source)?;
        let path_spec = match path_model.and_then(|index| models.get(index)).map(|model| &model.schema) {
            Some(ModelSchema::Balance(schema)) => Some(schema.spec()),
            _ => None,
        };
        balance::check(&file, route.as_mut(), path_spec, source)?;
        datagrams::check(&file, route.as_mut(), source)?;
        let mac_of_port = route.as_ref().map_or([false; 2], |route| route.mac_of_port);
        let engine = EngineConfig {
            seed: keys.seed.get(),
            flows_max: keys.flows_max.get_u32(),
            half_open_max: keys.half_open_max.get_u32(),
            flow_idle_max: keys.flow_idle_max.0,
            held_max: keys.held_max.get_u32(),
            pacing,
            route: route.map(|route| route.config),
            schedule,
        };
        let eal = EalPlan { hugepages: file.eal.hugepages, memory_mb: file.eal.memory_mb.get_u32() };
        if let PortsPlan::Devices(devices) = &ports {
            check_queues(devices, cores.workers.len(), source)?;
            check_memory(&eal, &engine, cores.workers.len(), frame_room(devices, mtu), source)?;
        }
        let metrics = match &file.metrics {
            Some(keys) => Some(check_listen(&keys.listen, source)?),
            None => None,
        };
        let control = match &file.control {
            Some(keys) => Some(
                socket_path(&keys.socket, source).map_err(|reason| source.error("control.socket", reason))?,
            ),
            None => None,
        };
        let drain_max = keys.drain_max.0;
        let keys = serde_json::to_value(&file).map_err(|error| source.error("", error))?;
        Ok(Plan {
            eal,
            cores,
            ports,
            mtu,
            mac_of_port,
            engine,
            drain_max,
            models,
            pacing_model,
            path_model,
            size_model,
            trainer,
            metrics,
            control,
            keys,
        })
    }

    /// Which of `models` decides a function, and its place; `None` where its rule does.
    pub fn decides(&self, function: Function) -> Option<(usize, &ModelPlan)> {
        let index = match function {
            Function::Pacing => self.pacing_model,
            Function::Balance => self.path_model,
            Function::Schedule => self.size_model,
        }?;
        Some((index, self.models.get(index)?))
    }

    /// The named paths, in order, and what each is made of.
    pub fn path_names(&self) -> Vec<PathName> {
        let balance = self.engine.route.as_ref().and_then(|route| route.balance.as_ref());
        let made_of = |path: &PathConfig| match path.wrap {
            Wrap::Bare => format!("next hop {}", path.via),
            Wrap::IpIp { ends } => format!("ipip {} > {}", ends.local, ends.remote),
            Wrap::Vxlan { ends, vni, .. } => format!("vxlan {vni} {} > {}", ends.local, ends.remote),
        };
        let name = |path: &PathConfig| PathName { name: path.name.clone(), made_of: made_of(path) };
        balance.map(|balance| balance.paths.iter().map(name).collect()).unwrap_or_default()
    }

    /// Frame buffers for all of it.
    pub fn buffers(&self) -> u32 {
        u32::try_from(buffers(&self.engine, self.cores.workers.len())).unwrap_or(u32::MAX)
    }

    /// Bytes of frame that a buffer holds. Drivers of NICs spread a longer frame over several; those of virtual
    /// devices do not, so a buffer there holds a whole frame.
    pub fn frame_room(&self) -> u32 {
        match &self.ports {
            PortsPlan::Devices(devices) => frame_room(devices, self.mtu),
            PortsPlan::Captures(_) => FRAME_ROOM,
        }
    }

    /// Where in the configuration a model stands.
    pub fn model_key(index: usize, key: &str) -> String {
        format!("model[{index}].{key}")
    }
}

/// Buffers that a worker's rings, caches, backlogs and bursts occupy besides the frames that its wheel holds: 1 024
/// descriptors in each of four queues make half of it.
const BUFFERS_BESIDES_HELD: u64 = 8_192;
/// Bytes of frame that a buffer holds at least: an ordinary frame whole, and a jumbo frame's first part.
const FRAME_ROOM: u32 = 2_048;
/// What a buffer has besides: headroom, mbuf, and what DPDK rounds up to.
const BUFFER_OVERHEAD: u64 = 384;
/// Ethernet header and two VLAN tags.
const FRAME_OVERHEAD: u32 = 22;

/// Frame buffers for this many workers. Each may hold `held_max`, and as many as its shaper has places for, and have a full
/// lane from each other one.
fn buffers(engine: &EngineConfig, workers: usize) -> u64 {
    let lanes = (workers as u64).saturating_sub(1) * LANE_FRAMES as u64;
    let shaped = engine.schedule.as_ref().map_or(0, |schedule| u64::from(schedule.queue_frames_max));
    workers as u64 * (u64::from(engine.held_max) + shaped + BUFFERS_BESIDES_HELD + lanes)
}

fn frame_room(devices: &[Device; 2], mtu: Option<u16>) -> u32 {
    let room = |device: &Device| match device {
        Device::Pci(_) => FRAME_ROOM,
        Device::Virtual(_) => {
            // Net_af_packet wants buffers as large as its ring's slots, whatever the MTU.
            let slot = device.argument("framesz").and_then(|slot| slot.parse().ok()).unwrap_or(0);
            FRAME_ROOM.max(slot).max(mtu.map_or(0, |mtu| u32::from(mtu) + FRAME_OVERHEAD))
        }
    };
    let [inside, outside] = devices;
    room(inside).max(room(outside)).next_multiple_of(64)
}

fn check_memory(
    eal: &EalPlan,
    engine: &EngineConfig,
    workers: usize,
    frame_room: u32,
    source: &Source,
) -> Result<(), ConfigError> {
    // An eighth for rings, queues and DPDK's own books.
    let needed_mb =
        (buffers(engine, workers) * (u64::from(frame_room) + BUFFER_OVERHEAD) * 9 / 8).div_ceil(1 << 20);
    if needed_mb > u64::from(eal.memory_mb) {
        let each = if workers == 1 { String::new() } else { format!(" on each of {workers} workers") };
        let queued = match &engine.schedule {
            Some(schedule) => format!(" and schedule.queue_frames_max = {}", schedule.queue_frames_max),
            None => String::new(),
        };
        let reason = format!(
            "expected at least {needed_mb} for engine.held_max = {} frames{queued}{each} and buffers of {frame_room} bytes, found {}",
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

fn check_cores(file: &File, allowed: Vec<usize>, source: &Source) -> Result<CorePlan, ConfigError> {
    let keys = &file.cores;
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
    Ok(CorePlan { control, workers, allowed })
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
        let schema = match model.function {
            ModelFunction::Pacing => InputSchema::pacing(&PacingSpec::default(), history, &inputs)
                .map(ModelSchema::Pacing)
                .map_err(|error| source.error(&at(&schema_key(&error)), error))?,
            ModelFunction::Balance | ModelFunction::Schedule => {
                if history != 1 {
                    let what = match model.function {
                        ModelFunction::Balance => "a path has no history of rows",
                        _ => "a flow has one row",
                    };
                    let reason = format!("expected 1: {what}, found {history}");
                    return Err(source.error(&at("history"), reason));
                }
                if model.preference.is_some() {
                    return Err(source.error(&at("preference"), "expected only with function = \"pacing\""));
                }
                if let ModelFunction::Balance = model.function {
                    PathSchema::new(&inputs)
                        .map(ModelSchema::Balance)
                        .map_err(|error| source.error(&at(&schema_key(&error)), error))?
                } else {
                    SizeSchema::new(&inputs)
                        .map(ModelSchema::Schedule)
                        .map_err(|error| source.error(&at(&schema_key(&error)), error))?
                }
            }
        };
        let precision = model.precision.into();
        let function = match model.function {
            ModelFunction::Pacing => Function::Pacing,
            ModelFunction::Balance => Function::Balance,
            ModelFunction::Schedule => Function::Schedule,
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
        let preference = match model.preference {
            Some(weights) => {
                Some(preference(weights).map_err(|reason| source.error(&at("preference"), reason))?)
            }
            None => None,
        };
        let spec = ModelSpec {
            name: model.name.clone(),
            function,
            file: source.resolve(&model.file),
            precision,
            inputs,
            history,
            pacing: PacingSpec::default(),
            preference,
        };
        models.push(ModelPlan { spec, schema, adapt: None });
    }
    Ok(models)
}

/// The preference of these weights, or what is wrong with them.
pub(super) fn preference(weights: [Share; 3]) -> Result<Preference, String> {
    let weights = weights.map(|share| share.0);
    Preference::from_weights(weights).ok_or_else(|| {
        let sum: f64 = weights.iter().sum();
        format!("expected weights of throughput, latency and loss that add up to 1, found {sum}")
    })
}

/// The key within a model that is wrong.
fn schema_key(error: &SchemaError) -> String {
    match error {
        SchemaError::History { .. } => "history".to_owned(),
        SchemaError::Feature { index, .. } => format!("inputs[{index}].feature"),
        SchemaError::Scale { index } => format!("inputs[{index}].scale"),
        SchemaError::Offset { index } => format!("inputs[{index}].offset"),
        SchemaError::Clip { index } => format!("inputs[{index}].clip"),
        _ => "inputs".to_owned(),
    }
}

/// The model of this name, which `key` wants for `function`.
fn find_model(
    key: &str,
    function: Function,
    wanted: &str,
    models: &[ModelPlan],
    source: &Source,
) -> Result<usize, ConfigError> {
    let fit = |model: &&ModelPlan| model.spec.function == function;
    if let Some(index) = models.iter().position(|model| fit(&model) && model.spec.name == wanted) {
        return Ok(index);
    }
    if models.iter().any(|model| model.spec.name == wanted) {
        let reason = format!("expected a [[model]] with function = {:?}, found {wanted:?}", function.name());
        return Err(source.error(key, reason));
    }
    let known: Vec<&str> = models.iter().filter(fit).map(|model| model.spec.name.as_str()).collect();
    let hint = match super::read::nearest(wanted, &known) {
        Some(near) => format!("; did you mean {near:?}?"),
        None if models.is_empty() => "; the file has no [[model]]".to_owned(),
        None if known.is_empty() => {
            format!("; the file has no [[model]] with function = {:?}", function.name())
        }
        None => format!("; there is {}", known.join(", ")),
    };
    Err(source.error(key, format!("expected the name of a [[model]], found {wanted:?}{hint}")))
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
        (PinKey::Flow, Some(max)) if max.0 > Ns::ZERO && max.0 <= PIN_MAX => Pin::Flow { max: max.0 },
        (PinKey::Flow, Some(max)) => {
            let reason = format!("expected more than 0 and at most {}, found {max}", Span(PIN_MAX));
            return refuse("pin_max", reason);
        }
        (PinKey::Flow, None) => {
            return refuse("pin", "\"flow\" needs pacing.pin_max, such as \"2s\"".to_owned());
        }
    };
    if keys.cadence == PacingCadenceKey::Packet && keys.model.is_none() {
        let reason = "\"packet\" expected only with pacing.model: a rule decides at interval ends".to_owned();
        return refuse("cadence", reason);
    }
    let sigma = keys.explore_sigma.0;
    if !(EXPLORE_SIGMA_MIN..=EXPLORE_SIGMA_MAX).contains(&sigma) {
        let reason = format!("expected from {EXPLORE_SIGMA_MIN} to {EXPLORE_SIGMA_MAX}, found {sigma}");
        return refuse("explore_sigma", reason);
    }
    Ok(PacingConfig {
        rule,
        model: keys.model.is_some(),
        spec,
        rate_min: rate_min.0,
        rate_max: rate_max.0,
        rate_start: rate_start.0,
        control_share: keys.control_share.in_65536(),
        explore_share: keys.explore_share.in_65536(),
        explore_sigma_q16: (sigma * f64::from(ONE)).round() as u32,
        sample_share: keys.sample_share.in_65536(),
        mark_delay: mark_delay.0,
        delay_max: delay_max.0,
        flow_held_bytes_max,
        limits: limit::check(keys, source)?,
        cadence: keys.cadence.into(),
        pin,
        mode: keys.mode.into(),
    })
}

/// A smaller step than a 4 000th of the rate teaches nothing.
const EXPLORE_SIGMA_MIN: f64 = 0.01;
/// Noise reaches three times as far, and the guard takes an action beyond 10 for 10.
const EXPLORE_SIGMA_MAX: f64 = 3.0;
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

/// What the kernel's `sockaddr_un` has room for, less the closing NUL.
const SOCKET_PATH_MAX: usize = 107;

/// The path of a socket, or what is wrong with it.
pub(super) fn socket_path(text: &str, source: &Source) -> Result<PathBuf, String> {
    let path = source.resolve(text);
    let length = path.as_os_str().len();
    if text.is_empty() || text.ends_with('/') || text.contains('\0') || length > SOCKET_PATH_MAX {
        return Err(format!("expected a path of at most {SOCKET_PATH_MAX} bytes, found {text:?}"));
    }
    Ok(path)
}

fn check_listen(text: &str, source: &Source) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        source.error(
            "metrics.listen",
            format!("expected an address and port such as \"127.0.0.1:9464\", found {text:?}"),
        )
    })
}
