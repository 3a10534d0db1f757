//! Where candidates are driven before they drive anything real.

mod rehearse;

use super::batch::Batch;
use crate::imitate::teacher;
use crate::network::Network;
use crate::quantise::InputMap;
use crate::verify::network_inputs;
use rehearse::Exploring;
use weir_env::baseline::BbrLike;
use weir_env::{Acting, Conditions, Controller, Ended, Estimates, Length, Policy, Preference, Reward, World};
use weir_features::{INPUTS, ONE, PacingSpec};
use weir_snapshot::{Executable, Scratch};

/// What drives a replayed flow.
#[derive(Debug, Clone, Copy)]
pub enum Driver<'a> {
    /// A snapshot, through the same integers as on the wire.
    Snapshot(&'a Executable),
    /// The classical fallback.
    Rule,
    /// What a network is taught that fares worse than the fallback.
    Teacher,
    /// A float network that is taught, on inputs that come about so.
    Pupil(&'a Network, &'a [InputMap]),
}

/// Where a driver is driven.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Episode {
    /// The path.
    pub path: Estimates,
    /// How flows begin.
    pub start: Start,
    /// Everything random follows from it.
    pub seed: u64,
}

/// How the flows of an episode begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Near their share, below and above it by turns: shows how well a driver keeps a path.
    Near,
    /// Far from their share, below and above it by turns, so that the queue is full at first: shows whether a driver that
    /// behaves well near its balance also finds back to it.
    Far,
    /// At the guard's lowest rate: shows whether a driver that flows have sunk under finds up again. All of the episode counts.
    Lowest,
    /// As [`Near`](Self::Near), ten times as long, and of no more than two flows: shows whether rates drift away where they
    /// should stay, too slowly for the others to see.
    Lasting,
}

impl Start {
    /// First rates over the fair share; nothing where it is the lowest.
    const fn shares(self) -> Option<(f64, f64)> {
        match self {
            Start::Near | Start::Lasting => Some((0.5, 1.5)),
            Start::Far => Some((0.25, 3.0)),
            Start::Lowest => None,
        }
    }
}

/// A closed loop in which what a driver does has consequences: a link world.
///
/// An episode is the same for every driver, so that drivers are compared in pairs: what it has of luck drops out of the
/// difference.
pub trait Replay: Send {
    /// What driving an episode takes, in intervals of a flow.
    fn cost(&self, episode: &Episode) -> u64;

    /// Drives one episode.
    fn drive(&mut self, driver: Driver<'_>, episode: &Episode) -> Driven;

    /// Appends transitions of the driver exploring, marked as remembered: against forgetting. The rule, which takes no actions,
    /// has none.
    fn rehearse(&mut self, driver: Driver<'_>, plan: &Rehearsal<'_>, batch: &mut Batch);
}

/// What to rehearse.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal<'a> {
    /// Where.
    pub episode: Episode,
    /// From features to the float network, one per input.
    pub inputs: &'a [InputMap],
    /// Standard deviation of the exploration noise, in units of the action.
    pub sigma: f64,
    /// Transitions, about.
    pub rows: usize,
}

/// How an episode went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Driven {
    /// Mean over flows of each one's mean over time, 0 to 1 (MOCC's, see [`crate::reward`], with the world's true capacity and
    /// base RTT): of all of an episode that begins far off or at the lowest rate, of the others once settled.
    pub reward: f64,
    /// Packets dropped over packets sent, once settled.
    pub loss: f64,
}

/// [`Replay`] in the link world that policies are trained in.
#[derive(Debug, Clone)]
pub struct LinkReplay {
    spec: PacingSpec,
    preference: Preference,
    rate_bps: (u64, u64),
    intervals: f64,
}

/// Intervals of a fair share that an episode lasts: settling takes some fifty from half of it. Longer ones would tell more,
/// and cost the step its 20 ms.
const INTERVALS: f64 = 300.0;

/// How much longer a lasting episode is, and its flows.
const LASTING: f64 = 5.0;
const LASTING_FLOWS: usize = 2;
/// Intervals at the lowest rate that an episode lasts which begins there, unless that is longer than a lasting one. To rise by a
/// seventh in each, as the teacher does, takes eight of them, however far: each is shorter than the one before.
const LOWEST_INTERVALS: f64 = 20.0;

impl LinkReplay {
    /// For models with these features, judged by this preference, held by the guard within these rates (lowest and highest,
    /// in bits per second).
    pub fn new(spec: PacingSpec, preference: Preference, rate_bps: (u64, u64)) -> Self {
        Self { spec, preference, rate_bps, intervals: INTERVALS }
    }

    /// What is driven: an ordinary host, all flows at once.
    fn conditions(&self, episode: &Episode) -> Conditions {
        let mut path = episode.path;
        let lasting = episode.start == Start::Lasting;
        if lasting && path.flows > LASTING_FLOWS {
            let share = LASTING_FLOWS as f64 / path.flows as f64;
            (path.capacity_bps, path.queue_bytes) = (path.capacity_bps * share, path.queue_bytes * share);
            path.flows = LASTING_FLOWS;
        }
        let mut conditions = Conditions::estimated(&path, &self.spec, episode.seed);
        let share_bps = conditions.link.capacity_bps / conditions.flows.len().max(1) as f64;
        // Where even the guard's lowest rate floods the path, no driver is to blame: that floor is lowered.
        conditions.rate_bps = (self.rate_bps.0.min((share_bps / 4.0) as u64), self.rate_bps.1);
        let lowest_bps = conditions.rate_bps.0 as f64;
        for (flow, start) in conditions.flows.iter_mut().enumerate() {
            let is_below = (episode.seed.wrapping_add(flow as u64)).is_multiple_of(2);
            start.rate_bps = match episode.start.shares() {
                Some((below, above)) => share_bps * if is_below { below } else { above },
                None => lowest_bps,
            };
        }
        let usual_s = self.intervals * conditions.interval_s();
        conditions.length = Length::Seconds(match episode.start {
            Start::Near | Start::Far => usual_s,
            Start::Lowest => {
                let lowest_s = LOWEST_INTERVALS * conditions.interval_at_s(lowest_bps);
                lowest_s.max(usual_s).min(LASTING * usual_s)
            }
            Start::Lasting => LASTING * usual_s,
        });
        conditions
    }
}

impl Replay for LinkReplay {
    fn cost(&self, episode: &Episode) -> u64 {
        let flows = episode.path.flows.max(1);
        match episode.start {
            Start::Near | Start::Far => self.intervals as u64 * flows as u64,
            Start::Lowest => (LASTING * self.intervals) as u64 * flows as u64,
            Start::Lasting => (LASTING * self.intervals) as u64 * flows.min(LASTING_FLOWS) as u64,
        }
    }

    fn drive(&mut self, driver: Driver<'_>, episode: &Episode) -> Driven {
        let conditions = self.conditions(episode);
        match policy(driver) {
            Some(policy) => drive(Acting(policy), &conditions, episode.start, self.preference),
            None => drive(BbrLike::default(), &conditions, episode.start, self.preference),
        }
    }

    fn rehearse(&mut self, driver: Driver<'_>, plan: &Rehearsal<'_>, batch: &mut Batch) {
        let Some(policy) = policy(driver) else { return };
        let conditions = self.conditions(&plan.episode);
        Exploring::new(policy, plan.sigma, self.preference, plan.episode.seed).append(
            &conditions,
            plan.inputs,
            plan.rows,
            batch,
        );
    }
}

/// What says the driver's actions; the rule takes none.
fn policy(driver: Driver<'_>) -> Option<Box<dyn Policy + '_>> {
    match driver {
        Driver::Snapshot(executable) => Some(Box::new(Integers::new(executable))),
        Driver::Rule => None,
        Driver::Teacher => Some(Box::new(Teacher)),
        Driver::Pupil(network, inputs) => Some(Box::new(Pupil { network, inputs })),
    }
}

/// Share of an episode that belongs to settling, before losses count and, unless it begins far off, rewards.
const SETTLE: f64 = 0.25;

fn drive(
    mut controller: impl Controller,
    conditions: &Conditions,
    start: Start,
    preference: Preference,
) -> Driven {
    let flows = conditions.flows.len();
    controller.begin(flows);
    let reward = Reward::Preferred(preference);
    let mut judge = Judge { controller, reward, flows: vec![(0.0, 0.0); flows] };
    let Length::Seconds(end_s) = conditions.length else { return Driven { reward: 0.0, loss: 1.0 } };
    let mut world = World::new(conditions);
    world.run(end_s * SETTLE, u64::MAX, &mut judge);
    world.measure();
    // How flows get to their share is what episodes that begin far from it show; the others, what they do there.
    if matches!(start, Start::Near | Start::Lasting) {
        judge.flows.fill((0.0, 0.0));
    }
    world.run(end_s, u64::MAX, &mut judge);
    let means = judge.flows.iter().map(|(sum, seconds)| if *seconds > 0.0 { sum / seconds } else { 0.0 });
    Driven { reward: means.sum::<f64>() / flows.max(1) as f64, loss: world.measured().loss }
}

/// Passes decisions on, and sums up what each flow's time was worth: a flow that starves decides seldom, so a mean over
/// decisions would hardly notice it.
struct Judge<C> {
    controller: C,
    reward: Reward,
    /// Reward times seconds, and seconds.
    flows: Vec<(f64, f64)>,
}

impl<C: Controller> Controller for Judge<C> {
    fn begin(&mut self, flows: usize) {
        self.controller.begin(flows);
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        if let (true, Some(report), Some((sum, seconds))) =
            (ended.decided, ended.report, self.flows.get_mut(ended.flow))
        {
            let length_s = report.duration_ns as f64 * 1e-9;
            *sum += self.reward.of(ended) * length_s;
            *seconds += length_s;
        }
        self.controller.decide(ended)
    }
}

/// The [teacher](crate::imitate::teacher) as a policy.
struct Teacher;

impl Policy for Teacher {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        (teacher::action(inputs) * f64::from(ONE)).round() as i32
    }
}

/// A float network as a policy: no need to quantise what changes with every step.
struct Pupil<'a> {
    network: &'a Network,
    inputs: &'a [InputMap],
}

impl Policy for Pupil<'_> {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        let action = self.network.answer(network_inputs(self.inputs, inputs));
        (action * f64::from(ONE)).round() as i32
    }
}

/// A snapshot as a policy.
struct Integers<'a> {
    executable: &'a Executable,
    scratch: Scratch,
}

impl<'a> Integers<'a> {
    fn new(executable: &'a Executable) -> Self {
        Self { executable, scratch: Scratch::new() }
    }
}

impl Policy for Integers<'_> {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        let mut action = [0];
        // A snapshot that passed the gate's checks takes these inputs and gives one action; another one would hold its rate.
        if (self.executable.row_len(), self.executable.outputs()) == (INPUTS, 1) {
            self.executable.evaluate(inputs, &mut action, &mut self.scratch);
        }
        action[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::gate::calibrated;
    use crate::online::gate::tests::{examples, network, terms};
    use crate::spec::{ModelSpec, build};
    use std::path::Path;
    use weir_snapshot::{Executor, Precision, Snapshot};

    const PATH: Estimates = Estimates {
        capacity_bps: 1e8,
        base_rtt_s: 0.02,
        queue_bytes: 5e5,
        loss: 0.0,
        jitter_s: 0.0,
        flows: 1,
    };

    const EPISODE: Episode = Episode { path: PATH, start: Start::Near, seed: 7 };

    fn replay() -> LinkReplay {
        LinkReplay::new(PacingSpec::default(), Preference::DEFAULT, (500_000, 10_000_000_000))
    }

    fn shipped() -> Executable {
        built("aurora")
    }

    fn built(name: &str) -> Executable {
        let file = format!("{}/../conf/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
        let built = build(&ModelSpec::pacing(name, Path::new(&file), Precision::Bits8)).unwrap();
        Executable::new(built.snapshot, Executor::best()).unwrap()
    }

    #[test]
    fn one_seed_is_one_episode_and_good_drivers_earn_more_than_bad_ones() {
        let good = shipped();
        let (mut a, mut b) = (replay(), replay());
        let model = a.drive(Driver::Snapshot(&good), &EPISODE);
        assert_eq!(model, b.drive(Driver::Snapshot(&good), &EPISODE));
        let rule = a.drive(Driver::Rule, &EPISODE);
        let wild = a.drive(Driver::Snapshot(&wild()), &EPISODE);
        assert!(model.reward > 0.8 && rule.reward > 0.8, "model {model:?}, rule {rule:?}");
        // Throughput alone earns much; only the loss tells that this is no way to get it.
        assert!(wild.reward < model.reward && wild.loss > 0.5, "{wild:?}");
        assert!(model.loss < 0.05 && rule.loss < 0.05, "model {model:?}, rule {rule:?}");
    }

    /// What flows sink under near two packets to half a round trip: live ones stay at 0.5 Mb/s, and earn 0.39.
    #[test]
    fn what_does_well_near_its_share_may_never_get_there() {
        let published = built("aurora-published");
        let path = Estimates { capacity_bps: 4.6e7, base_rtt_s: 0.005, queue_bytes: 1.5e5, ..PATH };
        let mut replay = replay();
        let mut reward = |driver, start| replay.drive(driver, &Episode { path, start, seed: 7 }).reward;
        let near = reward(Driver::Snapshot(&published), Start::Near);
        let lowest = reward(Driver::Snapshot(&published), Start::Lowest);
        let teacher = reward(Driver::Teacher, Start::Lowest);
        assert!(near > 0.9 && lowest < 0.5 && teacher > lowest + 0.1, "{near} {lowest} {teacher}");
    }

    /// Sends ever faster.
    fn wild() -> Executable {
        let mut wild = network(3);
        wild.layers[2].bias[0] = 8.0;
        let bytes = calibrated(&wild, Precision::Bits8, &terms(), &examples()).unwrap();
        Executable::new(Snapshot::decode(&bytes).unwrap(), Executor::best()).unwrap()
    }

    #[test]
    fn a_rehearsal_ends_where_nothing_gets_through() {
        let (mut replay, terms) = (replay(), terms());
        let path = Estimates { capacity_bps: 2.74e6, base_rtt_s: 0.065, queue_bytes: 1500.0, ..PATH };
        let episode = Episode { path, ..EPISODE };
        let plan = Rehearsal { episode, inputs: &terms.inputs, sigma: 1.0, rows: 400 };
        let mut batch = Batch::new(30);
        replay.rehearse(Driver::Snapshot(&wild()), &plan, &mut batch);
        assert!(batch.len() < 390, "{}: it got through after all", batch.len());
    }

    #[test]
    fn a_rehearsal_gives_transitions_as_live_samples_do() {
        let (mut replay, snapshot, terms) = (replay(), shipped(), terms());
        let episode = Episode { path: Estimates { flows: 2, ..PATH }, ..EPISODE };
        let plan = Rehearsal { episode, inputs: &terms.inputs, sigma: 0.5, rows: 400 };
        let mut batch = Batch::new(30);
        replay.rehearse(Driver::Snapshot(&snapshot), &plan, &mut batch);
        assert!((390..=410).contains(&batch.len()), "{}", batch.len());
        let trajectories = batch.continues().iter().filter(|continues| !**continues).count();
        assert_eq!(trajectories, 2);
        let noises: Vec<f64> = batch.noises().iter().map(|&noise| f64::from(noise)).collect();
        let square = noises.iter().map(|noise| noise * noise).sum::<f64>() / noises.len() as f64;
        assert!((square.sqrt() - 0.5).abs() < 0.05, "{square}");
        for row in batch.rows() {
            assert!(row.explored && row.remembered && (0.0..=1.0).contains(&row.reward));
            let z = f64::from(row.noise) / 0.5;
            let expected = -z * z / 2.0 - 0.5f64.ln() - std::f64::consts::TAU.ln() / 2.0;
            assert!((f64::from(row.log_prob) - expected).abs() < 1e-5);
            // What the snapshot answered, as the float network with its inputs would nearly.
            let mean = row.action - row.noise;
            assert!(mean.abs() <= 20.0 && row.inputs.iter().all(|x| (-0.5..=3.0).contains(x)));
        }
    }
}
