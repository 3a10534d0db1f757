//! `weir kernel-trainer`: the trainer in front of the kernel's core. The trainer's desk is the one that `weir run` has, with
//! its gate and its store; samples come over netlink instead of through workers' lanes, and what it publishes goes there.

use super::prepare;
use super::publication::{Next, Submission};
use super::signals::catch_signals;
use super::trainer::{Desk, Post, Turn};
use crate::config::ModelSchema;
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::kernel::{Core, Refused, Shares};
use crate::status::{Shared, Status};
use anyhow::{Context as _, bail};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use tracing::{info, warn};
use weir_engine::models::Generation;
use weir_features::{InputSchema, Sample, Source};
use weir_handoff::LaneSender;
use weir_snapshot::{Function, encode};

/// Between two looks at the ring of samples, which holds 4 096.
const REST: Duration = Duration::from_millis(20);
/// Generations whose samples may still come.
const REMEMBERED: usize = 16;

/// The core, and which of its generations is which of the trainer's.
struct Bridge {
    core: Core,
    schema: InputSchema,
    /// The core's active generation, as far as is known.
    active: u32,
    /// The trainer's numbers by the core's.
    numbers: BTreeMap<u32, u32>,
    /// Samples of generations that this trainer did not publish, so far.
    foreign: u64,
    /// Samples that found the trainer's lane full, so far.
    dropped: u64,
}

impl Bridge {
    /// Publishes a generation in the kernel.
    fn publish(&mut self, generation: &Generation) -> anyhow::Result<()> {
        let bytes = encode(generation.executable().snapshot().parts())?;
        let number = match self.core.install(&bytes, self.active, self.schema.spec(), self.schema.affine()) {
            Ok(number) => number,
            Err(error) => {
                if error.downcast_ref::<Refused>().is_some_and(|refused| refused.errno == Errno::ESTALE) {
                    self.active = self.core.status()?.active(Function::Pacing);
                    warn!("somebody else has published: the core's generation is {} now", self.active);
                }
                return Err(error);
            }
        };
        info!("generation {} is the kernel's {number}", generation.number());
        self.active = number;
        self.numbers.insert(number, generation.number());
        while self.numbers.len() > REMEMBERED {
            self.numbers.pop_first();
        }
        Ok(())
    }

    /// Answers a submission as control would.
    fn take(&mut self, submission: Submission) {
        let (next, reply) = submission.open();
        let reason = match next {
            Next::Model(candidate) if candidate.function() != Function::Pacing => {
                Some("the kernel's samples are of paced flows alone".to_owned())
            }
            Next::Model(candidate) => {
                self.publish(candidate.generation()).err().map(|error| error.to_string())
            }
            Next::Policy(_) => Some("nothing is reloaded here: start weir kernel-trainer again".to_owned()),
        };
        let result = if reason.is_none() { ReloadResult::Applied } else { ReloadResult::Refused };
        // The desk has ended where this fails.
        let _ = reply.send(Reloaded { result, reasons: reason.into_iter().collect() });
    }

    /// Moves what the core has sampled to the trainer.
    fn drain(&mut self, lane: &mut LaneSender<Sample>) -> anyhow::Result<()> {
        let (numbers, foreign, dropped) = (&self.numbers, &mut self.foreign, &mut self.dropped);
        let before = *foreign;
        self.core.samples(|sample| {
            let generation = match sample.source {
                Source::Control => Some(0),
                Source::Model | Source::Explored(_) => numbers.get(&sample.generation).copied(),
            };
            match generation {
                Some(generation) => {
                    *dropped += u64::from(lane.push(Sample { generation, ..sample }).is_err());
                }
                None => *foreign += 1,
            }
        })?;
        lane.flush();
        if before == 0 && self.foreign > 0 {
            warn!("samples of generations that are not this trainer's are left out");
        }
        Ok(())
    }
}

/// Runs the trainer of a configuration against the kernel's core until SIGTERM or Ctrl-C. What is active then stays.
///
/// # Errors
/// The configuration asks for no learning model, or the core is not loaded, or refuses the first generation.
pub fn kernel_trainer(file: &Path, overrides: &[String]) -> anyhow::Result<()> {
    let (plan, prepared) = prepare(file, overrides)?;
    let pacing = plan.engine.pacing.as_ref().context("[pacing] is missing: nothing to tune")?;
    let model = plan.pacing_model.and_then(|index| plan.models.get(index));
    let (Some(ModelSchema::Pacing(schema)), Some(trainer), Some(begun)) =
        (model.map(|model| &model.schema), &plan.trainer, prepared.begun)
    else {
        bail!(
            "{}: expected [trainer], and a [[model]] with [model.adapt] that pacing.model names",
            file.display()
        );
    };
    let mut lanes = prepared.ends.into_iter().map(|ends| ends.intervals);
    let mut lane = lanes.next().context("cores.workers is empty")?;

    let mut core = Core::open()?;
    core.set_shares(Shares {
        control: pacing.control_share,
        explore: pacing.explore_share,
        sample: pacing.sample_share,
        sigma_q16: pacing.explore_sigma_q16,
    })?;
    let active = core.status()?.active(Function::Pacing);
    let schema = schema.clone();
    let mut bridge = Bridge { core, schema, active, numbers: BTreeMap::new(), foreign: 0, dropped: 0 };
    let live = &prepared.live;
    let first = live.policy.models.active().context("pacing.model has no generation to start with")?;
    bridge.publish(first)?;

    let signals = catch_signals()?;
    let shared = Shared::new(Status::default(), Vec::new(), 1);
    let (letters_in, letters) = channel();
    let (submissions_in, submissions) = channel();
    let _post = Post::new(Some(letters_in), submissions_in.clone());
    let version = prepared.runtime.as_ref().and_then(super::trainer::Runtime::version);
    let mut desk = Desk::new(begun, trainer, version, shared, (prepared.lanes, letters, submissions_in));
    info!("learning from the kernel's flows; SIGTERM or Ctrl-C ends it, and what is active stays");
    let start = Instant::now();
    while !signals.stop.load(Ordering::Relaxed) {
        bridge.drain(&mut lane)?;
        let now_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if desk.turn(now_ns) == Turn::Over {
            break;
        }
        while let Ok(submission) = submissions.try_recv() {
            bridge.take(submission);
        }
        std::thread::sleep(REST);
    }
    let Bridge { active, foreign, dropped, .. } = bridge;
    info!(
        "the trainer ends; the kernel's generation {active} stays active; {foreign} samples of other generations, {dropped} too \
         many"
    );
    Ok(())
}
