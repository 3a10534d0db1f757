//! Many flows, each on a link of its own, under one snapshot: the datapath's half of adaptation in virtual time.
//!
//! What a worker does for a sampled flow is done here by the same code: the features by `weir_features`, the decision by the
//! integer snapshot, noise and its probability by the engine's `explore`, who explores by its `sampler`. The links are
//! `weir_env`'s, which know the true capacity: by that, and not by what Weir estimates, a decision's reward is judged.

use weir_engine::explore::Explorer;
use weir_engine::sampler::Draw;
use weir_env::baseline::BbrLike;
use weir_env::{Conditions, Controller, Ended, Preference, Reward, World};
use weir_features::{ACTION_MAX_Q16, Brake, INPUTS, Sample, Source, apply_action};
use weir_snapshot::{Executable, Scratch};

/// How the flows of a pool are divided, as `[pacing]` has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// On the rule, in 1/65536.
    pub control: u32,
    /// Exploring, of the others, in 1/65536.
    pub explore: u32,
    /// Standard deviation of the noise, in 1/65536 of an action.
    pub sigma_q16: u32,
}

/// The snapshot that decides, and its number.
pub(crate) struct Running<'a> {
    pub executable: &'a Executable,
    pub generation: u32,
}

/// What the decisions of the model's flows were worth since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Worth {
    pub decisions: u64,
    pub reward: f64,
    /// Delivered over capacity, summed over decisions.
    pub utilisation: f64,
    pub loss: f64,
}

impl Worth {
    pub(crate) fn add(&mut self, other: &Worth) {
        self.decisions += other.decisions;
        self.reward += other.reward;
        self.utilisation += other.utilisation;
        self.loss += other.loss;
    }

    /// Mean reward of a decision.
    pub(crate) fn mean(&self) -> f64 {
        self.reward / self.decisions.max(1) as f64
    }
}

/// Flows on links of their own, in step.
pub(crate) struct Pool {
    members: Vec<Member>,
    preference: Preference,
    now_s: f64,
    /// Where the pool's time begins on the trainer's clock.
    offset_ns: u64,
    scratch: Scratch,
}

struct Member {
    world: World,
    flow: Flow,
}

struct Flow {
    hash: u64,
    control: Option<BbrLike>,
    explorer: Option<Explorer>,
    explored: u32,
    brake: Brake,
    base_rtt_ns: u64,
    pending: Option<Pending>,
}

/// The decision that governs the open interval.
#[derive(Clone, Copy)]
struct Pending {
    source: Source,
    generation: u32,
    features: [i32; INPUTS],
    output_q16: i32,
    action_q16: i32,
}

impl Pool {
    /// Flows that begin now, one under each of `conditions`, which must have one flow each. `seed` draws who is who.
    pub(crate) fn new(
        conditions: &[Conditions],
        shares: &Shares,
        preference: Preference,
        seed: u64,
        offset_ns: u64,
    ) -> Pool {
        let member = |(index, conditions): (usize, &Conditions)| {
            // Two rounds of the sampler's mixer: neighbouring numbers become hashes that have nothing in common.
            let hash = Draw::Phase.bits(Draw::Sample.bits(seed).wrapping_add(index as u64));
            let control = Draw::Control.hits(hash, shares.control);
            let explores = !control && Draw::Explore.hits(hash, shares.explore);
            let mut rule = BbrLike::default();
            rule.begin(1);
            let flow = Flow {
                hash,
                control: control.then_some(rule),
                explorer: Explorer::new(shares.sigma_q16).filter(|_| explores),
                explored: 0,
                brake: Brake::default(),
                base_rtt_ns: u64::MAX,
                pending: None,
            };
            Member { world: World::new(conditions), flow }
        };
        Pool {
            members: conditions.iter().enumerate().map(member).collect(),
            preference,
            now_s: 0.0,
            offset_ns,
            scratch: Scratch::new(),
        }
    }

    /// Runs every link for `span_s` seconds; `sampled` is shown what a trainer would be told, in no order of time between
    /// flows. Gives what the model's flows earned.
    pub(crate) fn run(
        &mut self,
        span_s: f64,
        running: &Running<'_>,
        sampled: &mut dyn FnMut(&Sample),
    ) -> Worth {
        self.now_s += span_s;
        let mut worth = Worth::default();
        for Member { world, flow } in &mut self.members {
            let mut deciding = Deciding {
                flow,
                running,
                reward: Reward::Preferred(self.preference),
                offset_ns: self.offset_ns,
                scratch: &mut self.scratch,
                sampled,
                worth: &mut worth,
            };
            world.run(self.now_s, u64::MAX, &mut deciding);
        }
        worth
    }

    /// The trainer's time at this moment.
    pub(crate) fn now_ns(&self) -> u64 {
        self.offset_ns + (self.now_s * 1e9) as u64
    }
}

struct Deciding<'a> {
    flow: &'a mut Flow,
    running: &'a Running<'a>,
    reward: Reward,
    offset_ns: u64,
    scratch: &'a mut Scratch,
    sampled: &'a mut dyn FnMut(&Sample),
    worth: &'a mut Worth,
}

impl Controller for Deciding<'_> {
    fn begin(&mut self, _flows: usize) {}

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        self.tell(ended);
        if let Some(rule) = &mut self.flow.control {
            let control = Pending {
                source: Source::Control,
                generation: 0,
                features: [0; INPUTS],
                output_q16: 0,
                action_q16: 0,
            };
            self.flow.pending = Some(control);
            return rule.decide(ended);
        }
        let mut output = [0];
        self.running.executable.evaluate(ended.inputs, &mut output, self.scratch);
        let noise = self.flow.explorer.map(|explorer| {
            self.flow.explored = self.flow.explored.wrapping_add(1);
            explorer.noise(Draw::Noise.nth(self.flow.hash, self.flow.explored))
        });
        let wanted = output[0].saturating_add(noise.map_or(0, |noise| noise.noise_q16));
        let action_q16 = wanted.clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16);
        self.flow.pending = Some(Pending {
            source: noise.map_or(Source::Model, Source::Explored),
            generation: self.running.generation,
            features: *ended.inputs,
            output_q16: output[0],
            action_q16,
        });
        if let Some(report) = ended.report {
            self.flow.brake.observe(report, report.acked_bytes, 0);
        }
        self.flow.brake.limit(apply_action(ended.rate_bps, action_q16))
    }
}

impl Deciding<'_> {
    /// The sample of the interval that has ended, where a decision governed it.
    fn tell(&mut self, ended: &Ended<'_>) {
        let Some(report) = ended.report else { return };
        let Some(rtt_ns) = report.mean_rtt_ns else { return };
        self.flow.base_rtt_ns = self.flow.base_rtt_ns.min(rtt_ns);
        let Some(pending) = self.flow.pending.take().filter(|_| ended.decided) else { return };
        if pending.source != Source::Control {
            let bits = report.acked_bytes as f64 * 8e9 / report.duration_ns.max(1) as f64;
            let lost = report.lost_bytes as f64;
            self.worth.add(&Worth {
                decisions: 1,
                reward: self.reward.of(ended),
                utilisation: (bits / ended.truth.capacity_bps).min(1.0),
                loss: lost / (lost + report.acked_bytes as f64).max(1.0),
            });
        }
        let control = pending.source == Source::Control;
        (self.sampled)(&Sample {
            source: pending.source,
            schema_hash: if control { 0 } else { self.running.executable.snapshot().schema_hash() },
            generation: pending.generation,
            flow: self.flow.hash,
            features: pending.features,
            output_q16: pending.output_q16,
            action_q16: pending.action_q16,
            rate_bps: ended.rate_bps,
            at_ns: self.offset_ns + (ended.at_s * 1e9) as u64,
            duration_ns: report.duration_ns,
            sent_bytes: report.sent_bytes,
            acked_bytes: report.acked_bytes,
            lost_bytes: report.lost_bytes,
            rtt_ns,
            base_rtt_ns: self.flow.base_rtt_ns,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_env::published;
    use weir_snapshot::Executor;
    use weir_trainer::InputSpec;

    fn executable() -> Executable {
        let input =
            |feature: &str, clip| InputSpec { feature: feature.to_owned(), scale: 1.0, offset: 0.0, clip };
        let model = weir_trainer::ModelSpec {
            name: "aurora".to_owned(),
            function: weir_snapshot::Function::Pacing,
            file: concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/models/aurora.onnx").into(),
            precision: weir_snapshot::Precision::Bits12,
            inputs: vec![
                input("sent_latency_inflation", [-0.5, 0.5]),
                input("latency_ratio", [1.0, 3.0]),
                input("send_ratio", [0.5, 2.0]),
            ],
            history: weir_features::HISTORY,
            pacing: published::spec(),
            preference: None,
        };
        Executable::new(weir_trainer::build(&model).unwrap().snapshot, Executor::Scalar).unwrap()
    }

    #[test]
    fn a_pool_tells_what_a_worker_would() {
        let executable = executable();
        let running = Running { executable: &executable, generation: 7 };
        let path = published::Path { bandwidth: 200.0, one_way_s: 0.05, queue: 50.0, loss: 0.0 };
        let conditions: Vec<Conditions> = (0..40).map(|seed| path.conditions(0.8, seed)).collect();
        let shares = Shares { control: 13_107, explore: 32_768, sigma_q16: 65_536 };
        let mut pool = Pool::new(&conditions, &shares, Preference::DEFAULT, 3, 1_000);
        let mut samples: Vec<Sample> = Vec::new();
        let worth = pool.run(10.0, &running, &mut |sample| samples.push(*sample));
        let of = |wanted: fn(&Source) -> bool| samples.iter().filter(|sample| wanted(&sample.source)).count();
        let control = of(|source| *source == Source::Control);
        let explored = of(|source| matches!(source, Source::Explored(_)));
        let model = of(|source| *source == Source::Model);
        assert_eq!(worth.decisions, (explored + model) as u64);
        assert!(control > 100 && explored > 1_000 && model > 1_000, "{control} {explored} {model}");
        assert!((0.6..1.0).contains(&worth.mean()), "{}", worth.mean());
        for sample in &samples {
            let decided = sample.source != Source::Control;
            assert_eq!(sample.generation, if decided { 7 } else { 0 });
            let noise = sample.noise().map_or(0, |noise| noise.noise_q16);
            let wanted = (sample.output_q16 + noise).clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16);
            assert_eq!(sample.action_q16, wanted);
        }
        // Intervals follow each other, save where one had no RTT.
        let follows = samples
            .windows(2)
            .filter(|pair| pair[0].flow == pair[1].flow && pair[1].follows(&pair[0]))
            .count();
        assert!(follows + conditions.len() * 2 > samples.len(), "{follows} of {}", samples.len());
    }
}
