//! Experiments' files: each that is shipped runs, and one that is wrong says where and how.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use weir_shell::config::Source;
use weir_shell::config::simulation::{experiment, from_source};
use weir_sim::experiment::{Experiment, Results};
use weir_sim::report;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sim/experiments")
}

fn shipped() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    files
}

fn run(experiment: &Experiment) -> Results {
    let schemes = 0..experiment.schemes().len();
    let seeds = |case, scheme| {
        (1..=experiment.seeds).map(|seed| experiment.run(case, scheme, seed).unwrap()).collect()
    };
    let of_case = |case| schemes.clone().map(|scheme| seeds(case, scheme)).collect();
    Results { figures: (0..experiment.cases().len()).map(of_case).collect() }
}

/// The whole of each file is checked and its models are built; one case of it is run, a little while.
#[test]
fn every_shipped_experiment_runs() {
    for file in shipped() {
        let text = std::fs::read_to_string(&file).unwrap();
        let (duration, warm_up) = match text.contains("[fabric]") {
            true if text.contains("[jobs]") => ("duration=20ms", "warm_up=5ms"),
            true => ("duration=1ms", "warm_up=0ms"),
            false => ("duration=200ms", "warm_up=50ms"),
        };
        let overrides = [duration.to_owned(), warm_up.to_owned()];
        let experiment = experiment(&file, &overrides).unwrap_or_else(|error| panic!("{error}"));
        let last = experiment.cases().len() - 1;
        for scheme in 0..experiment.schemes().len() {
            let figures = experiment.run(last, scheme, 1).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(figures.len(), experiment.metrics().len());
            assert!(figures[0] > 0.0, "{}: scheme {scheme}: {figures:?}", file.display());
        }
    }
}

const SMALL: &str = r#"
title = "small"
seeds = 2
duration = "4s"
baseline = "rule"

[[link]]
name = "one"
rate = "20Mbps"
rtt = "20ms"
queue_frames = 40
loss = 0.002
background = [{ pattern = "uniform", low = "1Mbps", high = "8Mbps", hold = ["20ms", "60ms"] }]

[[change]]
at = "2s"
rate = "10Mbps"

[flows]
count = 2
ip = 6
receive_window = "300kB"

[[scheme]]
name = "rule"
rule = "bbr_lite"

[[scheme]]
name = "cubic"
congestion = "cubic"
weir = false

[[scheme]]
name = "fixed"
rule = "fixed"
rate = "5Mbps"
decision_delay = "1ms"

[[expect]]
metric = "goodput_mbps"
scheme = "fixed"
over = "cubic"
at_least = 0.5

[[expect]]
metric = "queue_ms"
falling = ["cubic", "fixed", "rule"]

[[expect]]
metric = "jain"
scheme = "rule"
at_most = 0.1
"#;

/// A fabric in which the engine chooses paths; its scheme's keys may follow.
const ENGINE: &str = r#"
title = "paths"
duration = "1ms"
[fabric]
workload = "../../conf/workloads/web-search.csv"
[[case]]
name = "case"
load = 0.5
[[scheme]]
name = "engine"
paths = "engine"
"#;

fn check(text: &str) -> Result<Experiment, String> {
    let source = Source::from_text(&folder().join("small.toml"), text.to_owned(), &[]).unwrap();
    from_source(&source).map_err(|error| error.to_string())
}

/// The digits themselves: they are the same on every machine, and a change of them is to be seen in review.
#[test]
fn a_small_run_has_its_digits() {
    let experiment = check(SMALL).unwrap();
    let results = run(&experiment);
    let mut text = report::tables(&experiment, &results);
    report::judge(&experiment, &results).iter().for_each(|verdict| text += &format!("{}\n", verdict.text));
    insta::assert_snapshot!(text);
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("small.svg");
    report::draw(&path, &experiment, &results, 3).unwrap();
    let drawn = std::fs::read_to_string(path).unwrap();
    assert!(["goodput_mbps", "cubic", "small"].iter().all(|word| drawn.contains(word)));
    assert_eq!(report::csv(&experiment, &results).lines().count(), 1 + 3 * 2 * experiment.metrics().len());
}

#[test]
fn a_wrong_file_says_where_and_what_was_expected() {
    let without = |line: &str| SMALL.replace(line, "");
    let with = |from: &str, to: &str| SMALL.replace(from, to);
    let paths = |keys: &str| format!("{ENGINE}{keys}\n");
    let compared = |over: &str| format!("{SMALL}[[compare]]\nscheme = \"fixed\"\n{over}\n");
    let cases = [
        (without("rate = \"20Mbps\"\n"), "small.toml:7:1: link[0].rate: missing key"),
        (
            with("\"bbr_lite\"", "\"bbr\""),
            "scheme[0].rule: expected one of \"none\", \"bbr_lite\", \"fixed\", \"maglev\", \"ecmp\", \"letflow\", \"plb\", \"power-of-two\", found \"bbr\"",
        ),
        (
            with("queue_frames = 40", "queue_frames = 0"),
            "link[0].queue_frames: expected a whole number from 1 to 1000000, found 0",
        ),
        (
            with("queue_frames", "queue_frame"),
            "link[0].queue_frame: unknown key; did you mean `queue_frames`?",
        ),
        (
            with("baseline = \"rule\"", "baseline = \"ruel\""),
            "baseline: expected one of \"rule\", \"cubic\", \"fixed\", found \"ruel\"; did you mean \"rule\"?",
        ),
        (
            with("metric = \"jain\"", "metric = \"jian\""),
            "expect[2].metric: expected one of \"goodput_mbps\"",
        ),
        (with("rate = \"5Mbps\"", ""), "scheme[2].rate: missing key"),
        (with("\"bbr_lite\"", "\"maglev\""), "scheme[0].rule: expected none, bbr_lite or fixed"),
        (paths("rule = \"none\""), "scheme[0].rule: expected maglev, ecmp, letflow, plb or power-of-two"),
        (paths("decision_delay = \"1ms\""), "scheme[0].decision_delay: expected only beside a model"),
        (paths("hysteresis = 101.0"), "scheme[0].hysteresis: expected 0 to 100"),
        (paths("model = \"none.onnx\""), "scheme[0].model:"),
        (paths("rounds = [3, 12]"), "scheme[0].rounds: expected only with paths = \"plb\""),
        (paths("rtt_good = \"90us\""), "scheme[0].rtt_good: expected only with paths = \"hermes\""),
        (paths("adapt = true"), "scheme[0].adapt: expected only with a model"),
        (
            paths("").replace("duration", "warm_up = \"1ms\"\nduration"),
            "warm_up: expected less than duration",
        ),
        (compared("over = []"), "compare[0].over: expected at least one scheme"),
        (compared("over = 1"), "compare[0].over: expected a name or a list of names, found 1"),
        (
            compared("over = [\"rule\", \"cubik\"]"),
            "compare[0].over: expected one of \"rule\", \"cubic\", \"fixed\", found \"cubik\"; did you mean \"cubic\"?",
        ),
        (
            with("at_most = 0.1", "at_most = 0.1\nwhole_interval = true"),
            "expect[2].whole_interval: expected only beside over",
        ),
        (
            paths("rule = \"plb\"").replace("\"engine\"", "\"ecmp\""),
            "scheme[0].rule: expected only with paths = \"engine\"",
        ),
        (
            with("name = \"fixed\"\nrule", "name = \"rule\"\nrule"),
            "scheme[2].name: \"rule\" is there already",
        ),
        (
            with("weir = false", "weir = false\nrule = \"none\""),
            "scheme[1].rule: expected only with weir = true",
        ),
        (
            with("duration = \"4s\"", "duration = \"4s\"\nwarm_up = \"4s\""),
            "warm_up: expected less than duration",
        ),
        (with("[flows]", "[fabric]\n[flows]"), "link: expected no [[link]] beside [fabric]"),
        (with("rule = \"bbr_lite\"", "model = \"none.onnx\""), "scheme[0].model:"),
        (with("loss = 0.002", "trace = \"none.csv\""), "link[0].trace:"),
        (with("hold = [\"20ms\", \"60ms\"]", "mean = \"1s\""), "link[0].background[0].hold: missing key"),
        ("title = 1\nscheme = []\n".to_owned(), "small.toml:1:9: title: expected a string, found 1"),
    ];
    check(&paths("rule = \"power-of-two\"\nflowlet_gap = \"150us\"\nexplore_share = 0.1")).unwrap();
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        match check(&text) {
            Ok(_) => wrong.push(format!("taken for right, expected {expected}")),
            Err(error) if error.contains(expected) && error.contains("small.toml:") => {}
            Err(error) => wrong.push(format!("{error}\n  is not {expected}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Two seeds whose goodputs are set by hand: schemes against the best of others, and claims about a whole interval.
#[test]
fn schemes_are_held_against_the_best_of_others_run_by_run() {
    let text = SMALL.replace("[[expect]]", "[[old]]").split("[[old]]").next().unwrap().to_owned();
    let more = r#"
[[compare]]
scheme = "fixed"
over = ["rule", "cubic"]
[[expect]]
metric = "goodput_mbps"
case = ["one"]
scheme = "fixed"
over = ["rule", "cubic"]
at_least = 1.05
whole_interval = true
[[expect]]
metric = "goodput_mbps"
scheme = "fixed"
over = ["rule", "cubic"]
at_least = 1.05
"#;
    let experiment = check(&(text + more)).unwrap();
    let metrics = experiment.metrics();
    let goodput = metrics.iter().position(|metric| metric.name == "goodput_mbps").unwrap();
    let runs = |values: [f64; 2]| -> Vec<Vec<f64>> {
        let figures = |value| (0..metrics.len()).map(|at| if at == goodput { value } else { 0.0 }).collect();
        values.map(figures).into()
    };
    // More goodput is better, so the rule is the best of the others.
    let results = Results { figures: vec![vec![runs([9.0, 11.0]), runs([5.0, 6.0]), runs([9.9, 12.1])]] };
    // Gains of 0.9 and 1.1, standard error 0.1, 12.706 of them (one degree of freedom), over 10.
    let line = "1.100 times that of \"rule\", the best of 2: +10.0 % +- 12.7";
    assert_eq!(
        report::comparisons(&experiment, &results),
        format!("one: goodput_mbps of \"fixed\" is {line}\n")
    );
    let verdicts = report::judge(&experiment, &results);
    assert_eq!(verdicts.iter().map(|verdict| verdict.holds).collect::<Vec<_>>(), [false, true]);
    assert!(
        verdicts[0].text.ends_with(&format!("is {line} (at least 1.05, the whole interval)")),
        "{verdicts:?}"
    );
}

/// A network that is tuned on the way, on real deliveries: the same seed gives the same digits.
#[test]
fn a_network_that_chooses_paths_learns_on_the_way_and_is_repeatable() {
    let adapting = "model = \"../../conf/models/balance.onnx\"\nflowlet_gap = \"60us\"\nprobe_interval = \"100us\"\nadapt = true\nexplore_share = 0.2\n";
    let text =
        format!("{ENGINE}{adapting}").replace("\"1ms\"", "\"40ms\"").replace("load = 0.5", "load = 0.3");
    let experiment = check(&text).unwrap();
    let figures =
        || -> Vec<u64> { experiment.run(0, 0, 1).unwrap().iter().map(|figure| figure.to_bits()).collect() };
    assert_eq!(figures(), figures());
}
