//! Live reward of the active generation against the control share's, and when it says that a publication was a mistake.
//!
//! A replay is a model of the link; the link has the last word. A seeded share of flows stays on the rule beside those of
//! the model, on the same paths at the same time, so the difference of their rewards (the *gap*) is what the model is worth,
//! whatever the link does meanwhile. One observation is one flow's mean reward over one step. The gap's standard error is
//! that of two independent means (Welch): `sqrt(s_m^2 / n_m + s_c^2 / n_c)`.
//!
//! Recalled is the newest adapted generation only, and only while it is on *probation*: a link that changes later lowers the
//! rewards of every generation, and going back through all of them would undo what was learnt. And only when the gap is
//! worse than the one that the generation before it had: one that is still worse than the rule but better than before is a
//! step in the right direction.

use super::flows::Earned;
use std::collections::VecDeque;

/// When a generation is recalled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchConfig {
    /// Over how long rewards are averaged, in nanoseconds.
    pub window_ns: u64,
    /// How long after its publication a generation can be recalled, in nanoseconds.
    pub probation_ns: u64,
    /// Fewest observations of the model and of the rule.
    pub observations_min: u64,
    /// How far below the gap must be.
    pub margin: f64,
}

impl Default for WatchConfig {
    fn default() -> Self {
        const S: u64 = 1_000_000_000;
        WatchConfig { window_ns: 10 * S, probation_ns: 60 * S, observations_min: 30, margin: 0.02 }
    }
}

/// Standard errors by which a gap must be below: each generation is looked at some hundred times, and flows' rewards hang
/// together from step to step.
const ERRORS: f64 = 3.0;

/// A difference of rewards that is much: several times what flows differ by that pace well.
pub(super) const MUCH: f64 = 0.05;

/// Number, sum and sum of squares of observations.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Moments {
    count: u64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn note(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.squares += value * value;
    }
    fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
    /// Square of the mean's standard error.
    fn error_squared(&self) -> f64 {
        let n = self.count.max(2) as f64;
        ((self.squares - self.sum * self.sum / n) / (n - 1.0)).max(0.0) / n
    }
}

/// Means over the window.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LiveReward {
    /// The active generation's.
    pub model: f64,
    /// The control share's.
    pub control: f64,
    /// Observations of the active generation.
    pub model_observations: u64,
    /// Observations of the control share.
    pub control_observations: u64,
    /// Standard error of the difference.
    pub error: f64,
}

impl LiveReward {
    /// What the model is worth: its mean reward above the rule's.
    pub fn gap(&self) -> f64 {
        self.model - self.control
    }
}

/// The live rewards of the newest time.
#[derive(Debug)]
pub(super) struct Watch {
    config: WatchConfig,
    steps: VecDeque<(u64, Moments, Moments)>,
    active: u32,
    /// When the active generation was published, if it is on probation.
    published_ns: Option<u64>,
    /// The gap of the one before, if it was known.
    gap_before: Option<f64>,
}

impl Watch {
    pub(super) fn new(config: WatchConfig, active: u32) -> Self {
        Self { config, steps: VecDeque::new(), active, published_ns: None, gap_before: None }
    }

    /// Takes note of what flows earned in the step that ends at `now_ns`.
    pub(super) fn note(&mut self, earned: &[Earned], now_ns: u64) {
        let (mut model, mut control) = (Moments::default(), Moments::default());
        for earned in earned {
            match earned.generation {
                None => control.note(earned.reward),
                Some(generation) if generation == self.active => model.note(earned.reward),
                // On its way out; it says nothing about the active one.
                Some(_) => {}
            }
        }
        self.steps.push_back((now_ns, model, control));
        let oldest_ns = now_ns.saturating_sub(self.config.window_ns);
        while self.steps.front().is_some_and(|(at_ns, _, _)| *at_ns <= oldest_ns) {
            self.steps.pop_front();
        }
    }

    /// A generation has become the active one.
    pub(super) fn published(&mut self, generation: u32, adapted: bool, now_ns: u64) {
        self.gap_before = self.enough().map(|live| live.gap());
        (self.active, self.published_ns) = (generation, adapted.then_some(now_ns));
        self.steps.clear();
    }

    pub(super) fn live(&self) -> LiveReward {
        let (mut model, mut control) = (Moments::default(), Moments::default());
        let add = |to: &mut Moments, from: &Moments| {
            to.count += from.count;
            to.sum += from.sum;
            to.squares += from.squares;
        };
        for (_, of_model, of_control) in &self.steps {
            add(&mut model, of_model);
            add(&mut control, of_control);
        }
        LiveReward {
            model: model.mean(),
            control: control.mean(),
            model_observations: model.count,
            control_observations: control.count,
            error: (model.error_squared() + control.error_squared()).sqrt(),
        }
    }

    fn enough(&self) -> Option<LiveReward> {
        let live = self.live();
        let least = live.model_observations.min(live.control_observations);
        (least >= self.config.observations_min.max(2)).then_some(live)
    }

    /// Whether flows under the rule fare much better, if they `did` so far: from where the gap is below [`MUCH`] beyond doubt
    /// until it is above half of that.
    pub(super) fn much_worse(&self, did: bool) -> bool {
        let Some(live) = self.enough() else { return did };
        match did {
            false => live.gap() + ERRORS * live.error < -MUCH,
            true => live.gap() < -MUCH / 2.0,
        }
    }

    /// Whether the active generation is to be recalled, and why.
    pub(super) fn verdict(&self, now_ns: u64) -> Option<LiveReward> {
        let age_ns = now_ns.saturating_sub(self.published_ns?);
        if age_ns < self.config.window_ns || age_ns > self.config.probation_ns {
            return None;
        }
        let live = self.enough()?;
        let most = live.gap() + ERRORS * live.error;
        let worse_than_rule = most < -self.config.margin;
        let worse_than_before = self.gap_before.is_none_or(|before| most < before - self.config.margin);
        (worse_than_rule && worse_than_before).then_some(live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const S: u64 = 1_000_000_000;
    const CONFIG: WatchConfig =
        WatchConfig { window_ns: 10 * S, probation_ns: 30 * S, observations_min: 30, margin: 0.02 };

    /// Steps of half a second with 20 flows of the model and 4 of the rule.
    struct Traffic {
        watch: Watch,
        rng: Rng,
        now_ns: u64,
        generation: u32,
    }

    impl Traffic {
        fn new(seed: u64) -> Self {
            Self { watch: Watch::new(CONFIG, 1), rng: Rng::new(seed), now_ns: 0, generation: 1 }
        }

        fn publish(&mut self) {
            self.generation += 1;
            self.watch.published(self.generation, true, self.now_ns);
        }

        /// Rewards around these means for so many seconds; whether the generation was recalled.
        fn run(&mut self, seconds: u64, model: f64, control: f64) -> bool {
            (0..2 * seconds).any(|_| {
                self.now_ns += S / 2;
                let mut earned = Vec::new();
                for flow in 0..24 {
                    let (generation, mean) =
                        if flow < 20 { (Some(self.generation), model) } else { (None, control) };
                    earned.push(Earned { generation, reward: mean + 0.1 * self.rng.normal() });
                }
                self.watch.note(&earned, self.now_ns);
                self.watch.verdict(self.now_ns).is_some()
            })
        }
    }

    #[test]
    fn a_generation_that_fares_worse_than_the_rule_is_recalled_after_a_window() {
        let mut traffic = Traffic::new(1);
        traffic.run(20, 0.8, 0.8);
        traffic.publish();
        assert!(!traffic.run(9, 0.6, 0.8), "not before a window has passed");
        assert!(traffic.run(2, 0.6, 0.8));
        let live = traffic.watch.verdict(traffic.now_ns).unwrap();
        assert!((live.gap() + 0.2).abs() < 0.05 && live.control_observations > 60, "{live:?}");
    }

    #[test]
    fn much_worse_begins_beyond_doubt_and_ends_at_half_of_it() {
        let mut traffic = Traffic::new(4);
        let mut much_worse = |model, was| {
            traffic.run(12, model, 0.8);
            traffic.watch.much_worse(was)
        };
        assert!(!much_worse(0.77, false), "by less than what is much");
        assert!(much_worse(0.6, false));
        assert!(much_worse(0.75, true), "still on the way");
        assert!(!much_worse(0.82, true));
        traffic.publish();
        assert!(
            traffic.watch.much_worse(true) && !traffic.watch.much_worse(false),
            "nothing known: as before"
        );
    }

    #[test]
    fn noise_alone_recalls_nothing() {
        for seed in 0..50 {
            let mut traffic = Traffic::new(seed);
            traffic.run(20, 0.8, 0.8);
            traffic.publish();
            assert!(!traffic.run(30, 0.8, 0.8), "seed {seed}");
        }
    }

    #[test]
    fn a_step_upwards_stays_though_the_rule_is_still_better() {
        let mut traffic = Traffic::new(2);
        traffic.run(20, 0.4, 0.8);
        traffic.publish();
        assert!(!traffic.run(30, 0.5, 0.8));
        traffic.publish();
        assert!(traffic.run(30, 0.3, 0.8), "a step downwards does not");
    }

    #[test]
    fn a_link_that_changes_after_probation_recalls_nothing() {
        let mut traffic = Traffic::new(3);
        traffic.run(20, 0.8, 0.8);
        traffic.publish();
        assert!(!traffic.run(31, 0.8, 0.8));
        assert!(!traffic.run(60, 0.3, 0.8));
    }

    #[test]
    fn too_few_observations_and_what_was_not_adapted_recall_nothing() {
        let mut watch = Watch::new(CONFIG, 1);
        for adapted in [true, false] {
            watch.published(2, adapted, 0);
            for step in 1..=40 {
                // One flow of the rule, seen now and then.
                let mut earned = vec![Earned { generation: Some(2), reward: 0.1 }; 20];
                let controls = if adapted { usize::from(step % 8 == 0) } else { 10 };
                earned.extend(vec![Earned { generation: None, reward: 0.9 }; controls]);
                watch.note(&earned, step * S / 2);
                assert_eq!(watch.verdict(step * S / 2), None);
            }
        }
        assert!(watch.live().gap() < -0.7, "it is seen all the same");
    }

    #[test]
    fn what_other_generations_earn_does_not_count() {
        let mut watch = Watch::new(CONFIG, 2);
        watch.note(
            &[Earned { generation: Some(1), reward: 0.9 }, Earned { generation: Some(2), reward: 0.1 }],
            S,
        );
        assert_eq!((watch.live().model, watch.live().model_observations), (0.1, 1));
    }
}
