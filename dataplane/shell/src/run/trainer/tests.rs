//! The whole way from a worker's samples to a policy that a worker reads, with a tuner that does as it is told.

mod several;

use super::letters::Letter;
use super::thread::Turn;
use super::*;
use crate::config::{Plan, Source};
use crate::control::learning::{Changed, Learning};
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::run::each::Each;
use crate::run::lanes::Lanes;
use crate::run::models::NextPolicy;
use crate::run::publication::{Publication, Submission};
use crate::status::{Shared, Status};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_engine::policy::Policy;
use weir_features::{
    ACTION_MAX_Q16, FEATURES, FlowSample, INPUTS, Noise, ONE, PathSample, Sample, Source as Decided,
};
use weir_handoff::{LaneSender, Reader, epoch, lane};
use weir_snapshot::{Function, Scratch};
use weir_trainer::Built;
use weir_trainer::graph::{AdamOptions, Head, LogStd, PpoHead, TrainingGraph};
use weir_trainer::network::Network;
use weir_trainer::online::{AdaptError, AdaptReport, Adapter, Batch};
use weir_trainer::rng::Rng;

const MS: u64 = 1_000_000;

/// A tuner that moves the output by what it is told, or fails as it is told.
struct Scripted {
    network: Network,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    /// Added to the output's bias in each step.
    move_by: f64,
    failure: Option<&'static str>,
    panics: bool,
    resets: usize,
}

impl Adapter for Scripted {
    fn adapt(&mut self, batch: &Batch) -> Result<AdaptReport, AdaptError> {
        let script = self.script.lock().unwrap();
        assert!(!script.panics, "as it was told");
        if let Some(failure) = script.failure {
            return Err(AdaptError::Learner(failure.to_owned()));
        }
        self.network.layers.last_mut().unwrap().bias[0] += script.move_by;
        Ok(AdaptReport { loss: 0.5, gradient_norm: 1.0, rows: batch.len(), steps: 1 })
    }
    fn evaluate(&mut self, _: &Batch) -> Result<f64, AdaptError> {
        Ok(1.0)
    }
    fn freeze(&mut self) -> Result<Network, AdaptError> {
        Ok(self.network.clone())
    }
    fn reset(&mut self, network: &Network) -> Result<(), AdaptError> {
        self.script.lock().unwrap().resets += 1;
        self.network = network.clone();
        Ok(())
    }
}

/// What each function's tuner is told to do.
type Scripts = Each<Arc<Mutex<Script>>>;

/// A Weir without packets: control's publication, a desk, and one worker's ends.
struct World {
    plan: Plan,
    shared: Shared,
    desk: Desk,
    publication: Publication,
    letters: Sender<Letter>,
    submissions: Sender<Submission>,
    samples: LaneSender<Sample>,
    choices: LaneSender<PathSample>,
    flows: LaneSender<FlowSample>,
    policy: Reader<Policy>,
    scripts: Scripts,
    script: Arc<Mutex<Script>>,
    rng: Rng,
    now_ns: u64,
}

/// A gate that lets everything through that is sound, and a short memory.
fn text(store: &Path) -> String {
    format!(
        "[ports]\ninside = \"net_null0\"\noutside = \"net_null1\"\n[eal]\nmemory_mb = 1024\n[cores]\nworkers = [0]\nshared = true\n\
         [pacing]\nrule = \"bbr_lite\"\nmodel = \"aurora\"\nrate_min = \"500kbps\"\nrate_max = \"1Gbps\"\nrate_start = \"1Mbps\"\n\
         mark_delay = \"10ms\"\ndelay_max = \"100ms\"\nflow_held_bytes_max = \"1MiB\"\n\
         [trainer]\ninterval = \"100ms\"\nstore = \"{}\"\n\
         [[model]]\nname = \"aurora\"\nfunction = \"pacing\"\nfile = \"models/aurora.onnx\"\nprecision = \"12bit\"\nhistory = 10\n\
         inputs = [{{ feature = \"sent_latency_inflation\", clip = [-0.5, 0.5] }}, {{ feature = \"latency_ratio\", clip = [1, \
         3] }}, {{ feature = \"send_ratio\", clip = [0.5, 2] }}]\n\
         [model.adapt]\nrows_min = 64\nadapter = \"tuner.sock\"\n\
         [model.adapt.gate]\nstability_window = 2\nclamped_share_max = 1.0\nreward_loss_max = 1.0\nepisode_reward_loss_max = \
         1.0\nepisode_loss_max = 1.0\nforgotten_share_max = 1.0\nrows_min = 16\n",
        store.display()
    )
}

fn read(text: String) -> (Plan, Source) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/x.toml");
    let source = Source::from_text(Path::new(file), text, &[]).unwrap();
    (Plan::check(&source).unwrap(), source)
}

/// Parts with scripted tuners in the place of the configured ones.
fn scripted(
    scripts: &Scripts,
    plan: &Plan,
    source: &Source,
    built: Each<Option<Box<Built>>>,
) -> Each<Option<Parts>> {
    let mut parts = Parts::build(plan, source, built, &Runtime::unwanted()).unwrap();
    for function in Function::ALL {
        if let Some(parts) = &mut parts[function] {
            let script = Arc::clone(&scripts[function]);
            parts.adapter = Box::new(Scripted { network: parts.network.clone(), script });
        }
    }
    parts
}

/// A policy and its parts, scripted.
fn parts(plan: &Plan, source: &Source, scripts: &Scripts) -> (NextPolicy, Each<Option<Parts>>) {
    let mut next = NextPolicy::build(plan, source).unwrap();
    let built = std::mem::take(&mut next.built);
    (next, scripted(scripts, plan, source, built))
}

impl World {
    fn new(store: &Path) -> World {
        World::tuned(text(store), scripted)
    }

    /// With tuners of the caller's making.
    fn tuned(
        text: String,
        make: impl Fn(&Scripts, &Plan, &Source, Each<Option<Box<Built>>>) -> Each<Option<Parts>>,
    ) -> World {
        let moving = || Arc::new(Mutex::new(Script { move_by: 1.0, ..Script::default() }));
        let scripts = Each::of(|_| moving());
        let (plan, source) = read(text);
        let mut next = NextPolicy::build(&plan, &source).unwrap();
        let built = std::mem::take(&mut next.built);
        let parts = make(&scripts, &plan, &source, built);
        let (live, begun) = begin(&plan, next, parts).unwrap();
        let shared = Shared::new(Status { models: live.shown(), ..Status::default() }, Vec::new(), 1);
        let (publisher, mut readers) = epoch(live.policy.clone(), 1);
        let (publication, submissions) = Publication::new(publisher, live);
        let ((samples, intervals), (choices, choices_out), (flows, flows_out)) =
            (lane(16, 256), lane(16, 256), lane(16, 256));
        let lanes = Lanes { intervals: vec![intervals], choices: vec![choices_out], flows: vec![flows_out] };
        let (letters, letter_box) = channel();
        let ends = (lanes, letter_box, submissions.clone());
        let desk = Desk::new(begun.unwrap(), plan.trainer.as_ref().unwrap(), None, shared.clone(), ends);
        World {
            plan,
            shared,
            desk,
            publication,
            letters,
            submissions,
            samples,
            choices,
            flows,
            policy: readers.pop().unwrap(),
            script: Arc::clone(&scripts[Function::Pacing]),
            scripts,
            rng: Rng::new(1),
            now_ns: 0,
        }
    }

    fn active(&mut self) -> Option<u32> {
        self.policy.quiesce();
        let models = &self.policy.borrow().models;
        models.active().map(|generation| generation.number())
    }

    /// An interval of the flow that the active generation paced, or the rule.
    fn sample(&mut self, flow: u64, at: u64) -> Sample {
        let generation = self.active().unwrap();
        let schema_hash = self.plan.models[0].schema.hash();
        let decided = match flow % 4 {
            0 => Decided::Control,
            1 => Decided::Model,
            // Half a deviation: the density's logarithm is -1/8 - ln(1/2) - ln(2 pi) / 2.
            _ => Decided::Explored(Noise {
                noise_q16: ONE / 4,
                sigma_q16: ONE as u32 / 2,
                log_prob_q16: -22_990,
            }),
        };
        if decided == Decided::Control {
            return World::control(flow, at);
        }
        let mut features = [0; INPUTS];
        for interval in features.chunks_exact_mut(FEATURES) {
            let wanted =
                [self.rng.uniform(-0.05, 0.05), self.rng.uniform(1.0, 2.0), self.rng.uniform(0.9, 1.3)];
            interval.iter_mut().zip(wanted).for_each(|(x, y)| *x = (y * f64::from(ONE)) as i32);
        }
        let mut output = [0];
        if let Some(active) = self.policy.borrow().models.active() {
            active.executable().evaluate(&features, &mut output, &mut Scratch::new());
        }
        let noise_q16 = match decided {
            Decided::Explored(noise) => noise.noise_q16,
            Decided::Model | Decided::Control => 0,
        };
        Sample {
            source: decided,
            schema_hash,
            generation,
            features,
            output_q16: output[0],
            action_q16: (output[0] + noise_q16).clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16),
            ..World::control(flow, at)
        }
    }

    /// An interval of a flow of the control share.
    fn control(flow: u64, at: u64) -> Sample {
        Sample {
            source: Decided::Control,
            schema_hash: 0,
            generation: 0,
            flow,
            features: [0; INPUTS],
            output_q16: 0,
            action_q16: 0,
            rate_bps: 10_000_000,
            at_ns: at,
            duration_ns: 10 * MS,
            sent_bytes: 12_500,
            acked_bytes: 12_500,
            lost_bytes: 0,
            rtt_ns: 25 * MS,
            base_rtt_ns: 20 * MS,
        }
    }

    /// A tenth of a second of twenty flows.
    fn traffic(&mut self) {
        for interval in 1..=10 {
            for flow in 0..20 {
                let sample = self.sample(flow, self.now_ns + interval * 10 * MS);
                let _ = self.samples.push(sample);
            }
        }
        self.samples.flush();
        self.now_ns += 100 * MS;
    }

    /// The same, and what control and desk make of it.
    fn pass(&mut self) {
        self.traffic();
        self.look();
    }

    /// What is under way arrives.
    fn look(&mut self) {
        // Three models may be due, and a publication take two turns.
        for _ in 0..9 {
            assert_eq!(self.desk.turn(self.now_ns), Turn::Again);
            let shared = &self.shared;
            self.policy.quiesce();
            self.publication.tick(
                Instant::now(),
                |_| true,
                |live| {
                    shared.update(|status| status.models = live.shown());
                },
            );
        }
    }

    /// Time passes until another generation is active, or does not for three seconds.
    fn next_generation(&mut self) -> Option<u32> {
        let before = self.active();
        (0..30).find_map(|_| {
            self.pass();
            self.active().filter(|active| Some(*active) != before)
        })
    }

    fn order(&mut self, order: Order, model: Option<&str>) -> Changed {
        let (reply, outcome) = channel();
        self.letters.send(Letter::Order(order, model.map(str::to_owned), reply)).unwrap();
        self.look();
        outcome.try_recv().unwrap()
    }

    fn reload(&mut self, store: &Path, change: impl Fn(String) -> String) -> Reloaded {
        self.reload_to(change(text(store)))
    }

    fn reload_to(&mut self, text: String) -> Reloaded {
        let (plan, source) = read(text);
        let (next, parts) = parts(&plan, &source, &self.scripts);
        let (reply, outcome): (_, Receiver<Reloaded>) = channel();
        self.letters.send(Letter::Reload(Box::new(next), Box::new(parts), reply)).unwrap();
        self.look();
        self.plan = plan;
        outcome.try_recv().unwrap()
    }

    fn learning(&self) -> crate::learning::ModelLearning {
        self.shared.status().learning[0].clone()
    }
}

fn count(counts: &[(&'static str, u64)], name: &str) -> u64 {
    counts.iter().find(|(found, _)| *found == name).unwrap().1
}

#[test]
fn samples_become_generations_that_workers_act_on_and_a_restart_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    assert_eq!(world.active(), Some(1));
    assert_eq!(world.next_generation(), Some(2));
    assert_eq!(world.next_generation(), Some(3));

    let shown = world.learning();
    assert_eq!(shown.learning, Learning::Adapting);
    assert_eq!((count(&shown.swaps, "configured"), count(&shown.swaps, "adapted")), (0, 2));
    assert_eq!(count(&shown.candidates, "accepted"), 2);
    assert!(count(&shown.samples, "taken") > 100 && count(&shown.samples, "control") > 100, "{shown:?}");
    assert_eq!((shown.measured.loss, shown.measured.stability), (0.5, 1.0));
    assert!(shown.measured.reward_model > 0.0 && shown.measured.reward_control > 0.0, "{shown:?}");
    let generations: Vec<_> =
        shown.generations.iter().map(|one| (one.generation, one.origin.as_str())).collect();
    assert_eq!(generations, [(3, "adapted"), (2, "adapted"), (1, "configured")]);
    assert!(shown.generations[0].figures.iter().any(|(name, _)| name == "fidelity_loss"));
    let report = world.shared.models_report();
    assert_eq!(report.models[0].generations[0].state, "active");
    assert_eq!(report.models[0].generations[1].state, "previous");
    let trainer = world.shared.status().trainer.unwrap();
    assert!(trainer.running && trainer.steps > 4 && trainer.store_faults == 0, "{trainer:?}");
    drop(world);

    let mut again = World::new(folder.path());
    assert_eq!(again.active(), Some(3));
    let origins: Vec<_> = again.learning().generations.iter().map(|one| one.origin.clone()).collect();
    assert_eq!(origins, ["adapted", "adapted", "configured"]);
    assert!(again.learning().generations[0].figures.iter().any(|(name, _)| name == "fidelity_loss"));
    assert_eq!(again.next_generation(), Some(4), "numbers go on");
}

#[test]
fn an_operator_takes_back_freezes_and_resumes() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let nothing = world.order(Order::Rollback, None);
    assert_eq!((nothing.result, nothing.generation), (ReloadResult::Refused, Some(1)));
    assert!(nothing.reasons[0].contains("no earlier one"), "{nothing:?}");
    assert_eq!(world.next_generation(), Some(2));

    let other = world.order(Order::Rollback, Some("mocc"));
    assert!(other.reasons[0].contains("aurora, found mocc"), "{other:?}");
    let taken_back = world.order(Order::Rollback, Some("aurora"));
    assert_eq!((taken_back.result, taken_back.generation), (ReloadResult::Applied, Some(3)));
    assert_eq!(world.active(), Some(3));
    let shown = world.learning();
    assert_eq!(shown.generations[0].origin, "rolled back to 1");
    assert_eq!(shown.generations[0].checksum, shown.generations[2].checksum);
    assert!(shown.generations[1].refused);
    assert_eq!(count(&shown.swaps, "rolled_back"), 1);

    assert_eq!(world.order(Order::Freeze, None).result, ReloadResult::Applied);
    assert_eq!(world.order(Order::Freeze, None).result, ReloadResult::Unchanged);
    assert_eq!(world.next_generation(), None);
    assert_eq!(world.learning().learning, Learning::Frozen);
    // What fared badly, by its operator's word, is not published again.
    world.script.lock().unwrap().move_by = 2.0;
    assert_eq!(world.order(Order::Resume, None).result, ReloadResult::Applied);
    assert_eq!(world.next_generation(), Some(4));
    drop(world);

    // A restart keeps to it.
    let again = World::new(folder.path());
    let refused: Vec<_> =
        again.learning().generations.iter().map(|one| (one.generation, one.refused)).collect();
    assert_eq!(refused, [(4, false), (3, false), (2, true), (1, false)]);
}

#[test]
fn a_reload_changes_how_it_learns_what_it_learns_and_whether() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    assert_eq!(world.next_generation(), Some(2));
    let resets = |world: &World| world.script.lock().unwrap().resets;
    let before = resets(&world);

    assert_eq!(world.reload(folder.path(), |text| text).result, ReloadResult::Unchanged);
    world.pass();
    assert_eq!((world.active(), resets(&world)), (Some(2), before));

    // Another way to learn: the generation stays, the tuner starts over from it.
    let other = |text: String| text.replace("rows_min = 64", "rows_min = 65");
    assert_eq!(world.reload(folder.path(), other).result, ReloadResult::Unchanged);
    world.pass();
    assert_eq!((world.active(), resets(&world)), (Some(2), before + 1));
    let origins: Vec<_> = world.learning().generations.iter().map(|one| one.origin.clone()).collect();
    assert_eq!(origins, ["adapted", "configured"]);
    assert_eq!(world.next_generation(), Some(3));

    // Settings alone: nothing about the model changes.
    let settings = |text: String| other(text).replace("delay_max = \"100ms\"", "delay_max = \"200ms\"");
    assert_eq!(world.reload(folder.path(), settings).result, ReloadResult::Applied);
    assert_eq!((world.active(), resets(&world)), (Some(3), before + 1));

    // Another model: the next number, and what came before can still be gone back to.
    let coarse = |text: String| settings(text).replace("precision = \"12bit\"", "precision = \"8bit\"");
    assert_eq!(world.reload(folder.path(), coarse).result, ReloadResult::Applied);
    assert_eq!(world.active(), Some(4));
    let shown = world.learning();
    assert_eq!((shown.generations[0].origin.as_str(), count(&shown.swaps, "configured")), ("configured", 1));
    assert_eq!(world.order(Order::Rollback, None).generation, Some(5));
    assert_eq!(world.next_generation(), Some(6));

    // No learning: what decides goes on deciding.
    let fixed = |text: String| coarse(text).split("[model.adapt]").next().unwrap().to_owned();
    assert_eq!(world.reload(folder.path(), fixed).result, ReloadResult::Unchanged);
    assert_eq!(world.next_generation(), None);
    assert!(world.shared.status().learning.is_empty());
    let refused = world.order(Order::Rollback, None);
    assert!(refused.reasons[0].contains("no model learns"), "{refused:?}");

    // And again, from what decides, which was learned before.
    assert_eq!(world.reload(folder.path(), coarse).result, ReloadResult::Unchanged);
    world.look();
    let decides = world.learning().generations[0].clone();
    assert_eq!((decides.generation, decides.origin.as_str()), (6, "adapted"));
    assert_eq!(decides.checksum, world.shared.status().models[0].checksum);
    assert_eq!(world.next_generation(), Some(7));
    drop(world);

    let mut again = World::new(folder.path());
    assert_eq!(again.active(), Some(3), "the newest that descends from the file as it is again");
    assert_eq!(again.next_generation(), Some(8));
}

#[test]
fn a_tuner_that_fails_is_shown_and_one_that_recovers_is_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.script.lock().unwrap().failure = Some("no gradient");
    assert_eq!(world.next_generation(), None);
    let report = &world.shared.models_report().models[0];
    assert_eq!(report.learning, Learning::Unable);
    assert_eq!(report.why.as_deref(), Some("the learner failed: no gradient"));
    world.script.lock().unwrap().failure = None;
    assert_eq!(world.next_generation(), Some(2));
    assert_eq!(world.shared.models_report().models[0].learning, Learning::Adapting);
}

#[test]
fn a_folder_of_another_process_refuses_the_start_and_a_failing_disk_does_not_stop_publications() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    let (plan, source) = read(text(folder.path()));
    let (next, parts) = parts(&plan, &source, &world.scripts);
    let error = begin(&plan, next, parts).err().unwrap();
    let text = format!("{error:#}");
    assert!(text.starts_with("trainer.store: ") && text.contains("in use by another process"), "{text}");

    std::fs::remove_dir_all(folder.path().join("aurora")).unwrap();
    assert_eq!(world.next_generation(), Some(2));
    let trainer = world.shared.status().trainer.unwrap();
    assert_eq!(trainer.store_faults, 1, "{trainer:?}");
    assert!(trainer.store_fault.is_some_and(|fault| fault.contains("aurora")));
}

#[test]
fn a_trainer_that_panics_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::new(folder.path());
    world.script.lock().unwrap().panics = true;
    world.traffic();
    let World {
        mut desk,
        shared,
        letters,
        mut publication,
        submissions,
        mut samples,
        mut policy,
        now_ns,
        ..
    } = world;
    let core = weir_cpu::allowed_cpus().unwrap()[0];
    let thread = TrainerThread::start(core, shared.clone(), move || desk.turn(now_ns)).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while shared.status().trainer.unwrap().running {
        assert!(Instant::now() < until, "it did not panic");
        std::thread::sleep(Duration::from_millis(1));
    }
    let report = &shared.models_report().models[0];
    assert_eq!(report.learning, Learning::Unable);
    assert!(report.why.as_ref().unwrap().contains("has ended"), "{report:?}");

    // A worker's lane fills, drops and counts; its policy is what it was.
    let sample = World::control(1, now_ns);
    for _ in 0..10_000 {
        let _ = samples.push(sample);
    }
    assert!(samples.dropped() > 5_000, "{}", samples.dropped());
    assert_eq!(policy.borrow().models.active().unwrap().number(), 1);

    // An order is refused, a reload goes past it.
    let post = Post::new(Some(letters), submissions);
    let refused = post.order(Order::Rollback, None);
    assert!(refused.reasons[0].contains("has ended"), "{refused:?}");
    let control = std::thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(20);
        let applied = AtomicBool::new(false);
        while !applied.load(Ordering::Relaxed) && Instant::now() < until {
            publication.tick(Instant::now(), |_| true, |_| applied.store(true, Ordering::Relaxed));
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let coarse = text(folder.path()).replace("precision = \"12bit\"", "precision = \"8bit\"");
    let (plan, source) = read(coarse);
    let next = NextPolicy::build(&plan, &source).unwrap();
    assert_eq!(post.reload(next, Each::of(|_| None)).result, ReloadResult::Applied);
    control.join().unwrap();
    assert_eq!(policy.borrow().models.active().unwrap().number(), 2);
    drop(thread);
}

/// ONNX Runtime where it is installed; where it is not, says so, or fails when nothing may be skipped.
fn runtime() -> Option<Runtime> {
    let library = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../third_party/ort/libonnxruntime.so"));
    let named = std::env::var_os("WEIR_ORT_LIB").is_some();
    let runtime = Runtime::of((!named).then_some(library));
    if let Err(reason) = runtime.engine() {
        let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
        assert!(!required, "{reason}");
        eprintln!("SKIPPED Weir's own tuner in the shell: {reason}");
        return None;
    }
    Some(runtime)
}

#[test]
fn weirs_own_tuner_and_a_users_training_graph_tune_and_a_file_that_is_none_is_refused_at_its_key() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let own = |text: String| text.replace("adapter = \"tuner.sock\"\n", "");
    let mut world = World::tuned(own(text(folder.path())), |_, plan, source, built| {
        Parts::build(plan, source, built, &runtime).unwrap()
    });
    for _ in 0..12 {
        world.pass();
    }
    let shown = world.learning();
    assert_eq!((shown.learning, shown.tuner.as_str()), (Learning::Adapting, "Weir's own head"), "{shown:?}");
    assert!(shown.tuned_steps > 4 && shown.measured.stability.is_finite(), "{shown:?}");
    drop(world);

    // A training graph of the user's own, by its name in the configuration. This one is as Weir writes it, but without a
    // limit to the gradient.
    let head = Head::Ppo(PpoHead { clip: 0.3, entropy: 0.0, log_std: LogStd::Fixed(0.5f64.ln()) });
    let (plan, source) = read(own(text(folder.path())));
    let mut built = NextPolicy::build(&plan, &source).unwrap().built;
    let network = built[Function::Pacing].take().unwrap().network;
    let written = TrainingGraph::build(&network, &head, &AdamOptions::default()).unwrap();
    let file = folder.path().join("mine.onnx");
    std::fs::write(&file, written.bytes()).unwrap();
    let named = |text: String| {
        own(text).replace("rows_min = 64", &format!("rows_min = 64\ntraining_graph = \"{}\"", file.display()))
    };
    let second = tempfile::tempdir().unwrap();
    let mut world = World::tuned(named(text(second.path())), |_, plan, source, built| {
        Parts::build(plan, source, built, &runtime).unwrap()
    });
    for _ in 0..12 {
        world.pass();
    }
    let shown = world.learning();
    assert!(shown.learning == Learning::Adapting && shown.tuner.ends_with("mine.onnx"), "{shown:?}");
    assert!(shown.tuned_steps > 4 && shown.measured.loss != 0.0, "{shown:?}");
    drop(world);

    let graph = own(text(folder.path())).replace("rows_min = 64", "training_graph = \"models/aurora.onnx\"");
    let (plan, source) = read(graph);
    let built = NextPolicy::build(&plan, &source).unwrap().built;
    let refused = Parts::build(&plan, &source, built, &runtime).err().unwrap().to_string();
    assert!(refused.contains("model[0].adapt.training_graph: "), "{refused}");
}
