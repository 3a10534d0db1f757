//! Several models that learn beside each other, each from its own samples: rates, paths and sizes.

use super::*;
use crate::config::ModelSchema;
use weir_features::{
    FirstData, FlowEnd, PATH_INPUTS, PathSource, PeerHistory, SIZE_INPUTS, SizeSpec, log2_1p_q16,
};

/// The `[[model]]` of a shipped configuration, commented out or not.
fn shipped_model(file: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf").join(file);
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replace("\n# Made for", "\n## Made for").replace("\n# ", "\n");
    let model = text.split("\n[[model]]").nth(1).unwrap();
    let end = model.find("\n]").unwrap() + 3;
    format!("[[model]]{}", &model[..end])
}

/// How a model that predicts learns in these tests.
const ADAPT: &str = "[model.adapt]\nrows_min = 64\nadapter = \"tuner.sock\"\n[model.adapt.gate]\nstability_window = 2\nrows_min = 16\n";

/// A router that paces, balances and schedules, each by a model that learns.
fn three(store: &Path) -> String {
    let router = text(store).replace("[ports]\n", "[ports]\nmode = \"route\"\n");
    format!(
        "{router}{}{ADAPT}{}{ADAPT}[route.inside]\naddresses = [\"10.8.0.1/24\"]\n[route.outside]\naddresses = [\"10.9.1.1/24\"]\n\
         [balance]\nto = [\"10.7.0.0/24\"]\nrule = \"maglev\"\nmodel = \"balance\"\n\
         [[path]]\nname = \"north\"\nkind = \"ipip\"\nvia = \"10.9.1.254\"\nlocal = \"10.9.1.1\"\nremote = \"10.10.1.1\"\n\
         [[path]]\nname = \"south\"\nkind = \"ipip\"\nvia = \"10.9.1.253\"\nlocal = \"10.9.1.1\"\nremote = \"10.10.2.1\"\n\
         [schedule]\nrule = \"ageing\"\nmodel = \"sizes\"\nlink_rate = \"1Gbps\"\nsizes = \"workloads/web-search.csv\"\n",
        shipped_model("balance.toml"),
        shipped_model("schedule.toml"),
    )
}

/// Without one of a model's keys, or of all of its learning.
fn without(text: &str, model: &str, part: &str) -> String {
    let at = text.find(&format!("name = \"{model}\"")).unwrap();
    format!("{}{}", &text[..at], text[at..].replacen(part, "", 1))
}

impl World {
    fn generation(&mut self, function: Function) -> Option<u32> {
        self.policy.quiesce();
        let policy = self.policy.borrow();
        let models = match function {
            Function::Pacing => &policy.models,
            Function::Balance => &policy.path_models,
            Function::Schedule => &policy.size_models,
        };
        models.active().map(|generation| generation.number())
    }

    fn generations(&mut self) -> [Option<u32>; 3] {
        Function::ALL.map(|function| self.generation(function))
    }

    fn schema(&self, function: Function) -> u64 {
        self.plan.decides(function).unwrap().1.schema.hash()
    }

    /// What the active network says of a flow.
    fn predicted(&mut self, features: &[i32; SIZE_INPUTS]) -> i32 {
        self.policy.quiesce();
        let mut output = [0];
        let active = self.policy.borrow().size_models.active().unwrap();
        active.executable().evaluate(features, &mut output, &mut Scratch::new());
        output[0]
    }

    /// What it scores a path.
    fn score(&mut self, features: &[i32; PATH_INPUTS]) -> i32 {
        self.policy.quiesce();
        let mut output = [0];
        let active = self.policy.borrow().path_models.active().unwrap();
        active.executable().evaluate(features, &mut output, &mut Scratch::new());
        output[0]
    }

    /// A flow of this row that has come to so many bytes.
    fn flow(&mut self, features: [i32; SIZE_INPUTS], bytes: u64) -> FlowSample {
        FlowSample {
            schema_hash: self.schema(Function::Schedule),
            generation: self.generation(Function::Schedule).unwrap(),
            flow: self.rng.bits(),
            features,
            output_q16: self.predicted(&features),
            priority: 3,
            control: false,
            bytes,
            began_ns: self.now_ns,
            ended_ns: self.now_ns + MS,
            end: FlowEnd::Fin,
        }
    }

    /// A delivery of 1 500 bytes by a path of this row, which took as long as this.
    fn choice(
        &mut self,
        features: [i32; PATH_INPUTS],
        source: PathSource,
        probability: f64,
        ns: f64,
    ) -> PathSample {
        let control = source == PathSource::Control;
        PathSample {
            source,
            schema_hash: if control { 0 } else { self.schema(Function::Balance) },
            generation: if control { 0 } else { self.generation(Function::Balance).unwrap() },
            flow: self.rng.bits(),
            features,
            score_q16: if control { 0 } else { self.score(&features) },
            path: 0,
            choices: 3,
            probability_q16: (probability * 65_536.0) as u32,
            at_ns: self.now_ns,
            delivery_ns: ns as u64,
            sent_bytes: 1_500,
            acked_bytes: 1_500,
            repeated_bytes: 0,
            base_rtt_ns: MS,
            rate_bps: 1_000_000_000,
        }
    }

    fn row_of_a_flow(&mut self) -> [i32; SIZE_INPUTS] {
        let mut peer = PeerHistory::default();
        for _ in 0..5 {
            peer.on_begin(0);
            peer.on_end(Some(self.rng.uniform(100.0, 1e6) as u64));
        }
        let first = FirstData { payload_len: 1_448, service_port: 443, serving: true };
        SizeSpec::default().row(&first, &peer, self.rng.below(1 << 30) as u64)
    }

    fn row_of_a_path(&mut self) -> [i32; PATH_INPUTS] {
        let mut row = [0; PATH_INPUTS];
        let wanted =
            [(0, 1.0, 4.0), (3, 0.0, 0.05), (4, 0.0, 4.0), (5, 0.0, 1.0), (6, 5.0, 12.0), (9, 0.0, 20.0)];
        for (at, low, high) in wanted {
            row[at] = (self.rng.uniform(low, high) * f64::from(ONE)) as i32;
        }
        row
    }

    /// A tenth of a second of all that there is to learn from: flows much larger than predicted, and deliveries whose paths the
    /// network scores far too low, as whoever told of them says.
    fn pass_all(&mut self) {
        for at in 0..200 {
            let row = self.row_of_a_flow();
            let sample = self.flow(row, 1 << 32);
            let _ = self.flows.push(FlowSample { control: at % 50 == 0, ..sample });
            let row = self.row_of_a_path();
            let (source, probability) = match at % 10 {
                0 => (PathSource::Control, 1.0),
                1 => (PathSource::Explored, 0.1),
                _ => (PathSource::Model, 0.9),
            };
            let ns = 1e6 * self.rng.uniform(0.5, 2.0);
            let sample = self.choice(row, source, probability, ns);
            let _ = self.choices.push(PathSample { score_q16: sample.score_q16 + 9 * ONE, ..sample });
        }
        self.flows.flush();
        self.choices.flush();
        self.pass();
    }

    fn shown(&self, model: &str) -> crate::learning::ModelLearning {
        self.shared.status().learning.into_iter().find(|learning| learning.name == model).unwrap()
    }
}

#[test]
fn three_models_learn_beside_each_other_each_from_its_own_samples() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::tuned(three(folder.path()), scripted);
    assert_eq!(world.generations(), [Some(1); 3]);
    for _ in 0..8 {
        world.pass_all();
    }
    let before = world.generations();
    // A rate's candidates take several steps: they are driven in replay.
    assert!(before[0] > Some(1) && before[1] > Some(3) && before[2] > Some(3), "{before:?}");
    for (model, control) in [("aurora", 100), ("balance", 100), ("sizes", 20)] {
        let shown = world.shown(model);
        assert_eq!(shown.learning, Learning::Adapting);
        assert!(count(&shown.samples, "taken") > 300 && count(&shown.samples, "held_out") > 50, "{shown:?}");
        assert!(count(&shown.samples, "control") >= control, "{shown:?}");
        assert_eq!(count(&shown.candidates, "accepted"), count(&shown.swaps, "adapted"));
        assert!(folder.path().join(model).join("generation-00000002").is_dir());
    }
    // A reward is what flows of the control share are held against; a size's truth needs nothing beside it.
    assert!(world.shown("balance").measured.reward_control.is_finite());
    assert!(world.shown("sizes").measured.reward_model.is_nan());
    let report = world.shared.models_report();
    let functions: Vec<_> = report.models.iter().map(|model| model.function.as_str()).collect();
    assert_eq!(functions, ["pacing", "balance", "schedule"]);
    let figures = &report.models[2].generations[0].figures;
    let figure = |name: &str| figures.iter().find(|figure| figure.name == name).unwrap().value;
    assert!(figure("loss_candidate") < figure("loss_running"), "{figures:?}");

    // An order is about one of them.
    let whose = world.order(Order::Freeze, None);
    assert!(whose.reasons[0].contains("several models learn") && whose.generation.is_none(), "{whose:?}");
    let nobody = world.order(Order::Freeze, Some("mocc"));
    assert!(nobody.reasons[0].contains("aurora or balance or sizes, found mocc"), "{nobody:?}");
    assert_eq!(world.order(Order::Freeze, Some("sizes")).result, ReloadResult::Applied);
    let back = world.order(Order::Rollback, Some("balance"));
    assert_eq!((back.result, back.generation), (ReloadResult::Applied, before[1].map(|number| number + 1)));
    assert_eq!(world.generations(), [before[0], back.generation, before[2]]);
    for _ in 0..8 {
        world.pass_all();
    }
    let after = world.generations();
    assert!(after[0] > before[0] && after[1] > back.generation, "{after:?}");
    assert_eq!((after[2], world.shown("sizes").learning), (before[2], Learning::Frozen));
    drop(world);

    let mut again = World::tuned(three(folder.path()), scripted);
    assert_eq!(again.generations(), after, "each goes on with its own");
}

#[test]
fn a_tuner_that_fails_is_one_models_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::tuned(three(folder.path()), scripted);
    world.scripts[Function::Pacing].lock().unwrap().failure = Some("no gradient");
    for _ in 0..8 {
        world.pass_all();
    }
    let generations = world.generations();
    assert_eq!(generations[0], Some(1));
    assert!(generations[1] > Some(3) && generations[2] > Some(3), "{generations:?}");
    let learning = |model| world.shown(model).learning;
    assert_eq!((learning("aurora"), learning("sizes")), (Learning::Unable, Learning::Adapting));
}

#[test]
fn a_reload_lets_one_of_them_learn_otherwise_or_not_at_all_and_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let three = three(folder.path());
    let mut world = World::tuned(three.clone(), scripted);
    for _ in 0..8 {
        world.pass_all();
    }
    let resets = |world: &World| Function::ALL.map(|function| world.scripts[function].lock().unwrap().resets);
    let (before, begun) = (world.generations(), resets(&world));

    // Another way to learn, of one.
    let at = three.find("name = \"sizes\"").unwrap();
    let other = format!("{}{}", &three[..at], three[at..].replacen("rows_min = 64", "rows_min = 65", 1));
    assert_eq!(world.reload_to(other.clone()).result, ReloadResult::Unchanged);
    world.pass_all();
    assert_eq!(resets(&world), [begun[0], begun[1], begun[2] + 1]);

    // Another model, of one: its next number.
    let before = [before, world.generations()][1];
    let coarse = format!("{}{}", &other[..at], other[at..].replacen("\"12bit\"", "\"8bit\"", 1));
    assert_eq!(world.reload_to(coarse.clone()).result, ReloadResult::Applied);
    let after = world.generations();
    assert_eq!(after, [before[0], before[1], before[2].map(|number| number + 1)]);
    assert_eq!(world.shown("sizes").generations[0].origin, "configured");

    // No learning, of one; the others go on.
    let fixed = without(&coarse, "sizes", &ADAPT.replace("rows_min = 64", "rows_min = 65"));
    assert_eq!(world.reload_to(fixed).result, ReloadResult::Unchanged);
    for _ in 0..8 {
        world.pass_all();
    }
    let meanwhile = world.generations();
    assert!(meanwhile[0] > after[0] && meanwhile[1] > after[1], "{meanwhile:?}");
    assert_eq!(meanwhile[2], after[2]);
    assert_eq!(world.shared.status().learning.len(), 2);
    let report = &world.shared.models_report().models[2];
    assert_eq!((report.name.as_str(), report.learning), ("sizes", Learning::Fixed));

    // And again.
    assert_eq!(world.reload_to(coarse).result, ReloadResult::Unchanged);
    for _ in 0..8 {
        world.pass_all();
    }
    assert!(world.generation(Function::Schedule) > meanwhile[2], "numbers go on");

    // A function without its model: the rule, and nobody to learn for it.
    let ruled = three.replace("model = \"balance\"\n[[path]]", "[[path]]");
    let ruled = without(&ruled, "balance", ADAPT);
    assert_eq!(world.reload_to(ruled).result, ReloadResult::Applied);
    assert_eq!(world.generation(Function::Balance), None);
    assert_eq!(world.shared.status().learning.len(), 2);
}

#[test]
fn a_generation_under_which_deliveries_take_longer_than_under_the_rule_is_called_back() {
    let folder = tempfile::tempdir().unwrap();
    let recall = "[model.adapt.recall]\nwindow = \"500ms\"\nobservations_min = 10\n";
    let three = three(folder.path());
    let at = three.find("name = \"balance\"").unwrap();
    let adapt = &format!("{ADAPT}{recall}");
    let mut world =
        World::tuned(format!("{}{}", &three[..at], three[at..].replacen(ADAPT, adapt, 1)), scripted);
    let pass = |world: &mut World, model_ms: f64| {
        for at in 0..200 {
            let row = world.row_of_a_path();
            let (source, ms) =
                if at % 4 == 0 { (PathSource::Control, 1.0) } else { (PathSource::Model, model_ms) };
            let ns = 1e6 * ms * world.rng.uniform(0.8, 1.25);
            let sample = world.choice(row, source, 1.0, ns);
            let _ = world.choices.push(PathSample { score_q16: sample.score_q16 + 9 * ONE, ..sample });
        }
        world.choices.flush();
        world.now_ns += 100 * MS;
        world.look();
    };
    // As good as the rule until another generation has come, and none comes after it.
    for _ in 0..8 {
        pass(&mut world, 1.0);
    }
    world.scripts[Function::Balance].lock().unwrap().move_by = 0.0;
    let good = world.generation(Function::Balance).unwrap();
    assert!(good > 2, "{:?}", world.shown("balance"));
    for _ in 0..8 {
        pass(&mut world, 4.0);
    }
    let shown = world.shown("balance");
    assert_eq!(count(&shown.swaps, "recalled"), 1, "{shown:?}");
    assert!(shown.generations[0].origin.ends_with("by itself") && shown.generations[1].refused, "{shown:?}");
}

/// What a world's tuners are where ONNX Runtime is there.
fn by_onnxruntime(text: String) -> Option<World> {
    let runtime = runtime()?;
    let own = text.replace("adapter = \"tuner.sock\"\n", "");
    Some(World::tuned(own, |_, plan, source, built| Parts::build(plan, source, built, &runtime).unwrap()))
}

/// Peers each of whose flows is small after a large one, and large after a small one: nothing that the shipped model knows.
#[test]
fn sizes_that_have_drifted_are_learned_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let text = three(folder.path()).replace("stability_window = 2\n", "");
    let Some(mut world) = by_onnxruntime(text) else { return };
    let ModelSchema::Schedule(schema) = &world.plan.models[2].schema else { panic!("not the size model") };
    let spec = schema.spec().clone();
    let mut peers = vec![(PeerHistory::default(), false); 100];
    let first = FirstData { payload_len: 1_448, service_port: 443, serving: true };
    // Mean squared error of what was predicted of the flows of a pass.
    let mut pass = |world: &mut World| {
        let mut squares = 0.0;
        for _ in 0..200 {
            let at = world.rng.below(peers.len());
            let bytes = if peers[at].1 { 3_000_000.0 } else { 2_000.0 } * world.rng.uniform(0.8, 1.25);
            let row = spec.row(&first, &peers[at].0, world.now_ns);
            let sample = world.flow(row, bytes as u64);
            squares += (f64::from(sample.output_q16 - log2_1p_q16(sample.bytes)) / f64::from(ONE)).powi(2);
            let _ = world.flows.push(sample);
            let (peer, large) = &mut peers[at];
            peer.on_begin(world.now_ns);
            peer.on_end(Some(bytes as u64));
            *large = !*large;
        }
        world.flows.flush();
        world.now_ns += 100 * MS;
        world.look();
        squares / 200.0
    };
    let before: f64 = (0..10).map(|_| pass(&mut world)).sum::<f64>() / 10.0;
    for _ in 0..150 {
        pass(&mut world);
    }
    let after: f64 = (0..10).map(|_| pass(&mut world)).sum::<f64>() / 10.0;
    let shown = world.shown("sizes");
    assert!(world.generation(Function::Schedule) > Some(1), "{shown:?}");
    assert!(after < before / 4.0, "squared error {before} to {after}: {shown:?}");
}

/// Paths whose delay follows from how much they are used, and no longer from their RTT: what is chosen is learned from what was
/// chosen alone, with the probability with which it was.
#[test]
fn what_paths_cost_is_learned_from_the_choices_that_were_made() {
    let folder = tempfile::tempdir().unwrap();
    let text = three(folder.path()).replace("stability_window = 2\n", "");
    let Some(mut world) = by_onnxruntime(text) else { return };
    const EXPLORED: f64 = 0.3;
    // In doublings of the time: by how much what was chosen is slower than the best, in the mean over a pass.
    let pass = |world: &mut World| {
        let mut regret = 0.0;
        for at in 0..200 {
            let rows: Vec<_> = (0..3).map(|_| world.row_of_a_path()).collect();
            let cost = |row: &[i32; PATH_INPUTS]| 3.0 * f64::from(row[5]) / f64::from(ONE);
            let best = (0..3).min_by_key(|path| world.score(&rows[*path])).unwrap();
            let least = rows.iter().map(cost).fold(f64::INFINITY, f64::min);
            regret += cost(&rows[best]) - least;
            let explored = world.rng.unit() < EXPLORED;
            let path = if explored { world.rng.below(3) } else { best };
            let probability = EXPLORED / 3.0 + if path == best { 1.0 - EXPLORED } else { 0.0 };
            let source = if explored { PathSource::Explored } else { PathSource::Model };
            let source = if at % 20 == 0 { PathSource::Control } else { source };
            let ns = 1e6 * (cost(&rows[path]) + 0.3 * world.rng.normal()).exp2();
            let sample = world.choice(rows[path], source, probability, ns);
            let _ = world.choices.push(sample);
        }
        world.choices.flush();
        world.now_ns += 100 * MS;
        world.look();
        regret / 200.0
    };
    let before: f64 = (0..10).map(|_| pass(&mut world)).sum::<f64>() / 10.0;
    for _ in 0..150 {
        pass(&mut world);
    }
    let after: f64 = (0..10).map(|_| pass(&mut world)).sum::<f64>() / 10.0;
    let shown = world.shown("balance");
    assert!(world.generation(Function::Balance) > Some(1), "{shown:?}");
    assert!(after < before / 3.0, "regret {before} to {after}: {shown:?}");
    assert!(shown.measured.reward_model > shown.measured.reward_control, "{shown:?}");
}
