//! What goes over the control socket: one line of JSON each way. Every type here is part of a documented interface;
//! fields are added, never changed or taken away, within one [`VERSION`].

use super::learning::{Changed, ModelsReport};
use crate::status::{BufferStatus, PortStatus};
use serde::{Deserialize, Serialize};

/// Version of the protocol. Rises when an older client would misread an answer.
pub const VERSION: u32 = 1;
/// Bytes of a request, its newline included.
pub const REQUEST_BYTES_MAX: usize = 4_096;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Which protocol it is in.
    pub version: u32,
    /// What is asked for.
    pub command: Command,
    /// Of which model, for the commands that are about one; the only one that learns where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Read the configuration again and take it up if it is good.
    Reload,
    /// Say how things are.
    Status,
    /// Say which models there are, where they came from and how they learn.
    Models,
    /// Publish the generation before the active one again.
    Rollback,
    /// Publish nothing that has been learned until a resume.
    Freeze,
    /// Learn again.
    Resume,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Which protocol it is in.
    pub version: u32,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// What an answer says, named by its key `answer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Body {
    /// To [`Command::Reload`].
    Reload(Reloaded),
    /// To [`Command::Status`].
    Status(Box<StatusReport>),
    /// To [`Command::Models`].
    Models(Box<ModelsReport>),
    /// To [`Command::Rollback`], [`Command::Freeze`] and [`Command::Resume`].
    Change(Changed),
    /// The request was not understood, or there was no time for it.
    Error {
        /// Why.
        message: String,
    },
}

/// How a reload or another change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReloadResult {
    /// Workers act on the new file.
    Applied,
    /// The file is good and says what already holds.
    Unchanged,
    /// Nothing has changed.
    Refused,
}

impl ReloadResult {
    /// Every result.
    pub const ALL: [ReloadResult; 3] =
        [ReloadResult::Applied, ReloadResult::Unchanged, ReloadResult::Refused];

    /// Name as in metrics, answers and logs.
    pub const fn name(self) -> &'static str {
        match self {
            ReloadResult::Applied => "applied",
            ReloadResult::Unchanged => "unchanged",
            ReloadResult::Refused => "refused",
        }
    }
}

/// A reload and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// How it ended.
    pub result: ReloadResult,
    /// Why it was refused: one line each, `file:line:column: key: reason` where the file is at fault.
    pub reasons: Vec<String>,
}

/// How things are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// Version of Weir.
    pub weir: String,
    /// Version of the DPDK that it is linked to.
    pub dpdk: String,
    /// Process.
    pub pid: u32,
    /// Unix time of this report.
    pub unix_seconds: f64,
    /// Unix time of the start.
    pub started_unix_seconds: f64,
    /// Why Weir is not ready; empty when it is.
    pub hindrances: Vec<String>,
    /// The configuration.
    pub config: ConfigReport,
    /// By side: inside, outside.
    pub ports: Vec<PortReport>,
    /// Frame buffers.
    pub buffers: Option<BufferStatus>,
    /// By index.
    pub workers: Vec<WorkerReport>,
    /// Named paths, in the configuration's order; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathReport>,
    /// Limits on several flows, in the configuration's order; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<LimitReport>,
    /// Published snapshots.
    pub models: Vec<ModelReport>,
    /// Pacing decisions since the start, by who decided.
    pub decisions: Decisions,
    /// What the scheduler does, where there is one and frames have left by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleReport>,
}

/// The configuration, and what became of changes to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigReport {
    /// The file as it was named.
    pub file: String,
    /// `--set` given at the start; they keep their say at a reload.
    pub overrides: Vec<String>,
    /// Unix time at which what holds now was taken up.
    pub loaded_unix_seconds: f64,
    /// Reloads that were applied.
    pub applied: u64,
    /// Reloads that changed nothing.
    pub unchanged: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// The last reload.
    pub last: Option<LastReload>,
}

/// The last reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastReload {
    /// Unix time of its end.
    pub unix_seconds: f64,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Reloaded,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PortReport {
    /// `inside` or `outside`.
    pub side: String,
    /// How it is.
    #[serde(flatten)]
    pub status: PortStatus,
}

/// A worker. Rates are means over the last whole second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Its number.
    pub worker: usize,
    /// The core that it is bound to.
    pub core: usize,
    /// Frames received per second, both sides.
    pub received_frames_per_second: f64,
    /// Bits of frames received per second, both sides.
    pub received_bits_per_second: f64,
    /// Frames sent per second, both sides.
    pub sent_frames_per_second: f64,
    /// Bits of frames sent per second, both sides.
    pub sent_bits_per_second: f64,
    /// Share of its cycles in turns that moved or decided something.
    pub busy_share: f64,
    /// The longest turn of the last second.
    pub turn_seconds_max: f64,
    /// Flows in its table.
    pub flows: u64,
    /// Of these, paced ones.
    pub paced_flows: u64,
    /// Frames inside: waiting for their time or their port.
    pub held_frames: u64,
    /// Frames dropped since the start, by verdict; those that are not zero.
    pub drops: Vec<Drops>,
}

/// Drops of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// Why.
    pub verdict: String,
    /// How many frames.
    pub frames: u64,
}

/// A named path, as all workers see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PathReport {
    /// Its name in the configuration.
    pub name: String,
    /// What it is made of.
    pub made_of: String,
    /// Workers for whom it is not down.
    pub workers_up: usize,
    /// All workers.
    pub workers: usize,
    /// Share of its weight that it takes: less than 1 in slow start, 0 in drain.
    pub share: f64,
    /// Flows on it.
    pub flows: u64,
    /// Frames sent by it.
    pub frames: u64,
    /// Rate at which frames leave by it, over the last millisecond.
    pub sent_bits_per_second: f64,
    /// Smoothed round-trip time; 0 while unknown.
    pub rtt_seconds: f64,
    /// Smallest round-trip time of late; 0 while unknown.
    pub base_rtt_seconds: f64,
    /// Smoothed share of reports that tell of a loss.
    pub loss_share: f64,
    /// Smoothed share of acknowledgements that echo a congestion mark.
    pub ecn_share: f64,
    /// Probes sent.
    pub probes: u64,
    /// Probes answered.
    pub answers: u64,
    /// Times that a worker found it to be down.
    pub failures: u64,
}

/// A limit on several flows, as all workers keep it together. Counts are since the limit has its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitReport {
    /// Its name in the configuration.
    pub name: String,
    /// Whose frames it is on: `every frame`, or a side and a prefix.
    pub on: String,
    /// What may leave.
    pub rate_bits_per_second: f64,
    /// What has left, over the last whole second; 0 in a second in which the limits have changed.
    pub sent_bits_per_second: f64,
    /// Frames that have left.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Times that frames had to wait.
    pub waits: u64,
    /// For how long, in all.
    pub wait_seconds: f64,
    /// Frames marked congestion experienced because of it.
    pub marked: u64,
    /// Frames dropped because of it.
    pub dropped: u64,
    /// Bytes of held frames that are under it.
    pub held_bytes: u64,
}

/// A published snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelReport {
    /// Its name in the configuration.
    pub name: String,
    /// What it decides.
    pub function: String,
    /// Its number.
    pub generation: u32,
    /// `8bit` or `12bit`.
    pub precision: String,
    /// Which executor runs it.
    pub executor: String,
    /// Names its inputs' definition: 16 hexadecimal digits.
    pub schema: String,
    /// CRC-32C of the snapshot: 8 hexadecimal digits.
    pub checksum: String,
    /// Time since it was published.
    pub age_seconds: f64,
}

/// Decisions by who made them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decisions {
    /// A network.
    pub model: u64,
    /// A network, and noise on top.
    pub explored: u64,
    /// The rule, where no model may.
    pub rule: u64,
    /// The rule, for the control share.
    pub control: u64,
}

/// What the scheduler does, over all workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleReport {
    /// Flows whose size a network predicted, since the start.
    pub model: u64,
    /// Flows that follow the rule.
    pub rule: u64,
    /// Flows that follow the rule, for the control share.
    pub control: u64,
    /// Frames that wait for the link.
    pub waiting: u64,
    /// Frames that have left, by priority, the most urgent first.
    pub left: [u64; 8],
}
