//! `[trainer]` and `[model.adapt]`: what they default to, and what Weir says of broken ones.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;
use std::time::Duration;
use weir_engine::time::Ns;
use weir_shell::config::{AdaptPlan, Plan, Source, TrainerPlan, TunerPlan, needs_restart};
use weir_snapshot::{Function, Precision};
use weir_trainer::online::TrainerConfig;
use weir_trainer::online::gate::{Fidelity, GateConfig, Safety, Statistic};
use weir_trainer::reward::Preference;

const GOOD: &str = r#"[ports]
inside = "net_null0"
outside = "net_null1"

[eal]
memory_mb = 1024

[cores]
control = 0
workers = [0]
shared = true

[pacing]
rule = "bbr_lite"
model = "aurora"
rate_min = "500kbps"
rate_max = "10Gbps"
rate_start = "10Mbps"
mark_delay = "10ms"
delay_max = "100ms"
flow_held_bytes_max = "1MiB"

[trainer]
interval = "200ms"

[[model]]
name = "aurora"
function = "pacing"
file = "models/aurora.onnx"
history = 10
inputs = [
  { feature = "sent_latency_inflation", clip = [-1.0, 1.0] },
  { feature = "latency_ratio", clip = [1.0, 5.0] },
  { feature = "send_ratio", clip = [0, 4] },
]

[model.adapt]
learning_rate = 0.001
"#;

fn source(text: &str, overrides: &[&str]) -> Source {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Source::from_text(Path::new("conf/x.toml"), text.to_owned(), &overrides).unwrap()
}

fn plan(text: &str, overrides: &[&str]) -> Result<Plan, String> {
    Plan::check(&source(text, overrides)).map_err(|error| error.to_string())
}

#[test]
fn what_is_left_out_has_its_default() {
    let plan = plan(GOOD, &[]).unwrap();
    assert_eq!(
        plan.trainer,
        Some(TrainerPlan {
            core: 0,
            interval: Ns::from_millis(200),
            store: "/var/lib/weir".into(),
            keep: 16,
            onnxruntime: None,
        })
    );
    assert_eq!(
        plan.models[0].adapt,
        Some(AdaptPlan {
            tuner: TunerPlan::Built,
            learning_rate: 0.001,
            config: TrainerConfig::new(GateConfig::new(Some(Safety::new(0, 0)))),
        })
    );
    // Without either section nothing learns.
    let bare = GOOD.split("[model.adapt]").next().unwrap().replace("[trainer]\ninterval = \"200ms\"\n", "");
    let bare = self::plan(&bare, &[]).unwrap();
    assert_eq!((bare.trainer, bare.models[0].adapt.as_ref()), (None, None));
}

#[test]
fn what_is_given_is_taken_and_paths_start_at_the_file() {
    let changed = plan(
        GOOD,
        &[
            "trainer.store=generations",
            "trainer.keep=4",
            "trainer.onnxruntime=/opt/libonnxruntime.so",
            "model[0].adapt.adapter=tuner.sock",
            "model[0].adapt.adapter_deadline=250ms",
            "model[0].adapt.rows_max=512",
            "model[0].adapt.remembered_share=0.5",
            "model[0].adapt.reward_weights=[0.5, 0.25, 0.25]",
            "model[0].adapt.precision=12bit",
            "model[0].adapt.gate.fidelity_threshold=inf",
            "model[0].adapt.gate.fidelity_statistic=p99",
            "model[0].adapt.gate.clamped_share_max=0.5",
            "model[0].adapt.gate.stability_window=3",
            "model[0].adapt.recall.window=5s",
            "model[0].adapt.recall.margin=0.1",
        ],
    )
    .unwrap();
    let trainer = changed.trainer.unwrap();
    assert_eq!((trainer.store.as_path(), trainer.keep), (Path::new("conf/generations"), 4));
    assert_eq!(trainer.onnxruntime.as_deref(), Some(Path::new("/opt/libonnxruntime.so")));
    let adapt = changed.models[0].adapt.as_ref().unwrap();
    let socket = "conf/tuner.sock".into();
    assert_eq!(adapt.tuner, TunerPlan::Process { socket, deadline: Duration::from_millis(250) });
    let config = &adapt.config;
    assert_eq!((config.rows_min, config.rows_max, config.remembered_share), (256, 512, 0.5));
    assert_eq!(config.preference, Preference { throughput: 0.5, latency: 0.25, loss: 0.25 });
    assert_eq!((config.watch.window_ns, config.watch.margin), (5_000_000_000, 0.1));
    let gate = &config.gate;
    assert_eq!(gate.precisions, [Precision::Bits12]);
    assert_eq!(gate.fidelity, Fidelity { threshold: f64::INFINITY, statistic: Statistic::P99 });
    assert_eq!((gate.safety.map(|safety| safety.clamped_max), gate.stability.window), (Some(0.5), 3));

    let graph = plan(GOOD, &["model[0].adapt.training_graph=mine.onnx"]).unwrap();
    assert_eq!(graph.models[0].adapt.as_ref().unwrap().tuner, TunerPlan::Graph("conf/mine.onnx".into()));
}

/// A model with a preference is adapted for it: live rewards and replay are those of the trainer's configuration.
#[test]
fn a_model_is_adapted_for_its_preference() {
    let preferring = plan(GOOD, &["model[0].preference=[0.1, 0.6, 0.3]"]).unwrap();
    let expected = Preference { throughput: 0.1, latency: 0.6, loss: 0.3 };
    let model = &preferring.models[0];
    assert_eq!(model.spec.preference, Some(expected));
    assert_eq!(model.adapt.as_ref().unwrap().config.preference, expected);
    let plain = plan(GOOD, &[]).unwrap();
    assert_eq!(plain.models[0].spec.preference, None);
    assert_eq!(plain.models[0].adapt.as_ref().unwrap().config.preference, Preference::DEFAULT);
}

/// (text in the good file, what it becomes, what Weir says)
const BROKEN: &[(&str, &str, &str)] = &[
    (
        "interval = \"200ms\"",
        "interval = \"5ms\"",
        "conf/x.toml:24:12: trainer.interval: expected from 10ms to 1min, found 5ms",
    ),
    (
        "interval = \"200ms\"",
        "interval = \"2min\"",
        "conf/x.toml:24:12: trainer.interval: expected from 10ms to 1min, found 2min",
    ),
    (
        "interval = \"200ms\"",
        "interval = 200",
        "conf/x.toml:24:12: trainer.interval: expected a duration such as \"10ms\" (ns, us, ms, s or min), found 200",
    ),
    (
        "interval = \"200ms\"",
        "keep = 1",
        "conf/x.toml:24:8: trainer.keep: expected a whole number from 2 to 1000, found 1",
    ),
    ("interval = \"200ms\"", "store = \"\"", "conf/x.toml:24:9: trainer.store: expected a path, found \"\""),
    (
        "interval = \"200ms\"",
        "onnxruntime = 1",
        "conf/x.toml:24:15: trainer.onnxruntime: expected a string, found 1",
    ),
    (
        "interval = \"200ms\"",
        "intervall = \"200ms\"",
        "conf/x.toml:24:1: trainer.intervall: unknown key; did you mean `interval`?",
    ),
    (
        "learning_rate = 0.001",
        "learning_rate = 0.0",
        "conf/x.toml:38:17: model[0].adapt.learning_rate: expected more than 0 and at most 1, found 0",
    ),
    (
        "learning_rate = 0.001",
        "learning_rate = inf",
        "conf/x.toml:38:17: model[0].adapt.learning_rate: expected a finite number, found inf",
    ),
    (
        "learning_rate = 0.001",
        "rows_min = 16",
        "conf/x.toml:38:12: model[0].adapt.rows_min: expected a whole number from 32 to 65536, found 16",
    ),
    (
        "learning_rate = 0.001",
        "rows_max = 100",
        "conf/x.toml:38:12: model[0].adapt.rows_max: expected at least rows_min = 256, found 100",
    ),
    (
        "learning_rate = 0.001",
        "[model.adapt.gate]\nfidelity_threshold = -0.1",
        "conf/x.toml:39:22: model[0].adapt.gate.fidelity_threshold: expected a number from 0, or inf, found -0.1",
    ),
    (
        "learning_rate = 0.001",
        "[model.adapt.gate]\nfidelity_threshold = nan",
        "conf/x.toml:39:22: model[0].adapt.gate.fidelity_threshold: expected a number from 0, or inf, found NaN",
    ),
    (
        "learning_rate = 0.001",
        "[model.adapt.gate]\nfidelity_threshold = 0.02",
        "conf/x.toml:38:14: model[0].adapt.gate.quantisation_mean_max: expected less than fidelity_threshold = 0.02, found \
         0.025: a snapshot's own rounding would be worth another publication",
    ),
    (
        "learning_rate = 0.001",
        "[model.adapt.gate]\nfidelity_statistic = \"max\"",
        "conf/x.toml:39:22: model[0].adapt.gate.fidelity_statistic: expected one of \"mean\", \"p99\", found \"max\"",
    ),
    (
        "learning_rate = 0.001",
        "[model.adapt.recall]\nprobation = \"1s\"",
        "conf/x.toml:39:13: model[0].adapt.recall.probation: expected at least window = 10s, found 1s",
    ),
    (
        "learning_rate = 0.001",
        "remembered_share = 1.5",
        "conf/x.toml:38:20: model[0].adapt.remembered_share: expected a share from 0 to 1, found 1.5",
    ),
    (
        "learning_rate = 0.001",
        "reward_weights = [0.5, 0.5, 0.5]",
        "conf/x.toml:38:1: model[0].adapt.reward_weights: expected weights of throughput, latency and loss that add up \
         to 1, found 1.5",
    ),
    (
        "]\n\n[model.adapt]",
        "]\npreference = [0.5, 0.25, 0.25]\n[model.adapt]\nreward_weights = [0.5, 0.25, 0.25]",
        "conf/x.toml:38:1: model[0].adapt.reward_weights: expected none beside the model's preference, which it is \
         adapted for",
    ),
    (
        "learning_rate = 0.001",
        "precision = \"16bit\"",
        "conf/x.toml:38:13: model[0].adapt.precision: expected one of \"auto\", \"8bit\", \"12bit\", found \"16bit\"",
    ),
    (
        "learning_rate = 0.001",
        "adapter_deadline = \"1s\"",
        "conf/x.toml:38:20: model[0].adapt.adapter_deadline: expected only with adapter",
    ),
    (
        "learning_rate = 0.001",
        "adapter = \"a.sock\"\nadapter_deadline = \"1ms\"",
        "conf/x.toml:39:20: model[0].adapt.adapter_deadline: expected from 10ms to 1min, found 1ms",
    ),
    (
        "learning_rate = 0.001",
        "adapter = \"folder/\"",
        "conf/x.toml:38:11: model[0].adapt.adapter: expected a path of at most 107 bytes, found \"folder/\"",
    ),
    (
        "learning_rate = 0.001",
        "adapter = \"a.sock\"\ntraining_graph = \"g.onnx\"",
        "conf/x.toml:39:18: model[0].adapt.training_graph: expected none beside adapter, which trains by itself",
    ),
    (
        "[trainer]\ninterval = \"200ms\"\n",
        "",
        "conf/x.toml:35:8: model[0].adapt: expected only with a [trainer], which is to adapt it",
    ),
    (
        "model = \"aurora\"\n",
        "",
        "conf/x.toml:36:8: model[0].adapt: expected only on the model that pacing.model names: nothing is learned of one \
         that decides nothing",
    ),
];

#[test]
fn a_broken_file_is_refused_with_its_place_and_what_was_expected() {
    for (from, to, expected) in BROKEN {
        assert!(GOOD.contains(from), "{from}");
        let text = GOOD.replacen(from, to, 1);
        let said = plan(&text, &[]).err().unwrap_or_else(|| "nothing".to_owned());
        assert_eq!(said, *expected, "{to}");
    }
}

#[test]
fn the_trainer_keeps_off_the_workers_unless_they_share() {
    let cores = weir_cpu::allowed_cpus().unwrap();
    let alone = "cores.shared=false";
    if let [first, second, ..] = cores[..] {
        let workers = format!("cores.workers=[{second}]");
        let control = format!("cores.control={first}");
        let said = plan(GOOD, &[alone, &workers, &control, &format!("trainer.core={second}")]).unwrap_err();
        assert!(said.contains("trainer.core: expected another core than a worker's"), "{said}");
        let apart = plan(GOOD, &[alone, &workers, &control, &format!("trainer.core={first}")]).unwrap();
        assert_eq!(apart.trainer.unwrap().core, first);
    }
    let said = plan(GOOD, &["trainer.core=1023"]).unwrap_err();
    assert!(said.contains("trainer.core: expected one of the cores that this process may use"), "{said}");
}

#[test]
fn a_reload_may_change_how_a_model_learns_but_not_the_trainer() {
    let started = plan(GOOD, &[]).unwrap();
    let faults = |overrides: &[&str]| {
        let source = source(GOOD, overrides);
        let next = Plan::check(&source).unwrap();
        needs_restart(&started, &next, &source).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(faults(&["model[0].adapt.learning_rate=0.01", "model[0].adapt.adapter=a.sock"]).is_empty());
    let fixed = faults(&["trainer.interval=1s", "trainer.keep=3"]);
    assert_eq!(fixed.len(), 2, "{fixed:?}");
    assert!(
        fixed[0].contains("trainer.interval: needs a restart: was \"200ms\", is now \"1s\""),
        "{fixed:?}"
    );
}

/// The shipped file with a `[trainer]` and, below its model, `adapt`; commented lines count where there are such models.
fn predicting(file: &str, adapt: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf").join(file);
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.replace("\n# Made for", "\n## Made for").replace("\n# model = ", "\nmodel = ");
    let head = if text.contains("\n[[model]]") { "\n[[model]]" } else { "\n# [[model]]" };
    let (rest, model) = text.split_once(head).unwrap();
    // Relative paths start elsewhere in these tests.
    let kilobytes = "size_thresholds = [\"1kB\", \"2kB\", \"3kB\", \"4kB\", \"5kB\", \"6kB\", \"7kB\"]";
    let rest = rest.replace("\nsizes = \"workloads/web-search.csv\"", &format!("\n{kilobytes}"));
    let end = model.find("\n]").or(model.find("\n# ]")).unwrap();
    let model = model[..end].replace("\n# ", "\n");
    format!("[trainer]\n{rest}\n[[model]]{model}\n]\n{adapt}\n")
        .replace("workers = [1]", "workers = [0]\nshared = true")
}

#[test]
fn models_that_predict_learn_too_and_have_defaults_of_their_own() {
    for (file, function) in [("schedule.toml", Function::Schedule), ("balance.toml", Function::Balance)] {
        let plan = plan(&predicting(file, "[model.adapt]"), &[]).unwrap();
        let adapt = plan.decides(function).unwrap().1.adapt.as_ref().unwrap();
        assert_eq!((&adapt.tuner, adapt.learning_rate), (&TunerPlan::Built, 0.001), "{file}");
        assert_eq!((adapt.config.remembered_share, &adapt.config.gate.safety), (0.25, &None), "{file}");
    }
    let shares = |overrides: &[&str]| {
        let plan = plan(&predicting("schedule.toml", "[model.adapt]"), overrides).unwrap();
        plan.engine.schedule.unwrap().sample_share
    };
    assert_eq!((shares(&[]), shares(&["schedule.sample_share=0.5"])), (65_536, 32_768));
}

#[test]
fn keys_that_say_nothing_about_a_prediction_are_refused_at_their_place() {
    let sizes = "expected only with function = \"pacing\": predicted sizes are judged by their error on flows that were not \
                 learned from";
    let paths = "expected only with function = \"pacing\": scores of paths are judged by their error on decisions that were not \
                 learned from";
    let recall = "expected only with function = \"pacing\" or \"balance\": how long a flow takes is first of all its \
                  application's affair, so a prediction is taken back by an operator only";
    for (file, keys, key, reason) in [
        ("schedule.toml", "reward_weights = [0.5, 0.25, 0.25]", "reward_weights", sizes),
        ("schedule.toml", "[model.adapt.gate]\nclamped_share_max = 0.5", "gate.clamped_share_max", sizes),
        ("schedule.toml", "[model.adapt.gate]\nepisode_loss_max = 0.5", "gate.episode_loss_max", sizes),
        ("schedule.toml", "[model.adapt.recall]\nmargin = 0.1", "recall", recall),
        ("balance.toml", "[model.adapt.gate]\nforgotten_share_max = 0.1", "gate.forgotten_share_max", paths),
    ] {
        let text = predicting(file, &format!("[model.adapt]\n{keys}"));
        let said = plan(&text, &[]).unwrap_err();
        assert!(said.ends_with(&format!(": model[0].adapt.{key}: {reason}")), "{said}");
        let line: usize = said.split(':').nth(1).unwrap().parse().unwrap();
        let there = text.lines().nth(line - 1).unwrap();
        assert!(there.contains(key.rsplit('.').next().unwrap()), "{said}: {there}");
    }
    assert!(
        plan(&predicting("balance.toml", "[model.adapt]\n[model.adapt.recall]\nmargin = 0.1"), &[]).is_ok()
    );
    // One that decides nothing.
    let idle = predicting("schedule.toml", "[model.adapt]").replace("\nmodel = \"sizes\"", "\n");
    let said = plan(&idle, &[]).unwrap_err();
    assert!(said.contains("expected only on the model that schedule.model names"), "{said}");
}

/// What `conf/adaptive.toml` says that each of its lines is.
#[test]
fn the_shipped_file_spells_out_the_defaults() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/adaptive.toml"));
    let text = std::fs::read_to_string(file).unwrap();
    let spelled = plan(&text, &[]).unwrap();
    let sections =
        ["[model.adapt.gate]", "[model.adapt.recall]", "[metrics]"].map(|head| text.find(head).unwrap());
    assert!(sections.is_sorted());
    let terse = plan(&format!("{}{}", &text[..sections[0]], &text[sections[2]..]), &[]).unwrap();
    assert_eq!(spelled.models[0].adapt, terse.models[0].adapt);
    let terse = &text[..text.find("learning_rate =").unwrap()];
    assert_eq!(plan(terse, &[]).unwrap().models[0].adapt, spelled.models[0].adapt);
}
