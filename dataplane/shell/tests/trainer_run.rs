//! A Weir with a trainer, on null devices: what it does before there is anything to learn from, and where it cannot learn.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]
#![cfg(feature = "dpdk")]

mod running;

use running::{FILE, Weir, ctl, get, scrape, signal, start_command, start_in};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use weir_shell::control::learning::{Learning, ModelsReport};

fn config() -> String {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/models/aurora.onnx");
    format!(
        r#"
[eal]
hugepages = false
memory_mb = 96
[cores]
workers = [0]
shared = true
[ports]
inside = "net_null0"
outside = "net_null1"
[engine]
flows_max = 1024
half_open_max = 1024
held_max = 1024
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
interval = "50ms"
store = "learned"
[[model]]
name = "aurora"
function = "pacing"
file = "{model}"
history = 10
inputs = [
  {{ feature = "sent_latency_inflation", clip = [-0.5, 0.5] }},
  {{ feature = "latency_ratio", clip = [1.0, 3.0] }},
  {{ feature = "send_ratio", clip = [0.5, 2.0] }},
]
[model.adapt]
[metrics]
listen = "127.0.0.1:0"
[control]
socket = "weir.sock"
"#
    )
}

/// Without a library of ONNX Runtime to load.
fn start_without_runtime() -> Weir {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    std::fs::write(&file, config()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.env("WEIR_ORT_LIB", folder.path().join("missing.so")).arg("run");
    start_command(folder, &file, &mut command, &[])
}

fn models(weir: &Weir) -> ModelsReport {
    let output = ctl(weir, &config(), &["models", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Looks until the report is as wanted.
fn until(weir: &Weir, wanted: impl Fn(&ModelsReport) -> bool) -> ModelsReport {
    let began = Instant::now();
    loop {
        let report = models(weir);
        if wanted(&report) {
            return report;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{report:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn stop(mut weir: Weir) -> (TempDir, String) {
    signal(&weir.child, "-TERM");
    assert!(weir.child.wait().unwrap().success());
    let log = weir.rest_of_log();
    (std::mem::replace(&mut weir.folder, tempfile::tempdir().unwrap()), log)
}

#[test]
fn without_onnx_runtime_it_forwards_is_ready_and_says_why_it_does_not_learn() {
    let weir = start_without_runtime();
    let report = until(&weir, |report| report.models[0].learning == Learning::Unable);
    let why = report.models[0].why.as_ref().unwrap();
    assert!(why.contains("no ONNX Runtime at") && why.contains("missing.so"), "{why}");
    assert_eq!(report.trainer.as_ref().unwrap().onnxruntime, None);
    assert!(get(&weir.address, "/readyz").starts_with("HTTP/1.1 200 "));
    let sums = scrape(&weir.address);
    assert_eq!((sums["weir_onnxruntime_loaded"], sums["weir_trainer_running"]), (0.0, 1.0));
    assert!(sums["weir_received_frames_total"] > 0.0);
    let page = get(&weir.address, "/metrics");
    assert!(page.contains("weir_model_learning{model=\"aurora\",state=\"unable\"} 1"), "{page}");
    let screen = ctl(&weir, &config(), &["models"]);
    let screen = String::from_utf8(screen.stdout).unwrap();
    assert!(screen.contains("learning   unable: ") && screen.contains("ONNX Runtime missing"), "{screen}");
    stop(weir);
}

#[test]
fn a_start_goes_on_with_what_is_kept_and_orders_are_obeyed() {
    let weir = start_in(tempfile::tempdir().unwrap(), &config(), &["model[0].adapt.adapter=tuner.sock"]);
    let report = until(&weir, |report| report.trainer.as_ref().is_some_and(|trainer| trainer.steps > 2));
    let model = &report.models[0];
    assert_eq!((model.learning, model.generations[0].generation), (Learning::Adapting, 1));
    assert_eq!(model.generations[0].origin, "configured");
    let socket = &model.adapter.as_ref().unwrap().socket;
    assert!(socket.ends_with("tuner.sock"), "{socket}");

    let answer = |words: &[&str]| {
        let output = ctl(&weir, &config(), words);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(answer(&["freeze"]), (Some(0), "applied: generation 1 is active\n".to_owned(), String::new()));
    assert_eq!(models(&weir).models[0].learning, Learning::Frozen);
    assert_eq!(answer(&["resume", "aurora"]).1, "applied: generation 1 is active\n");
    let (status, _, why) = answer(&["rollback"]);
    assert!(status == Some(1) && why.contains("no earlier one"), "{why}");

    // One folder, one process.
    let second = weir.folder.path().join("second.toml");
    std::fs::write(&second, config().replace("weir.sock", "second.sock")).unwrap();
    let refused = Command::new(env!("CARGO_BIN_EXE_weir")).arg("run").arg(&second).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("trainer.store") && said.contains("in use"), "{said}");

    let (folder, _) = stop(weir);
    assert!(folder.path().join("learned/aurora/generation-00000001/manifest").exists());
    let weir = start_in(folder, &config(), &["model[0].adapt.adapter=tuner.sock"]);
    let report = models(&weir);
    assert_eq!(report.models[0].generations.len(), 1);
    assert_eq!(report.models[0].generations[0].generation, 1);
    // A reload through the trainer.
    let finer = config().replace("history = 10", "precision = \"12bit\"\nhistory = 10");
    let reloaded = ctl(&weir, &finer, &["reload"]);
    assert_eq!(String::from_utf8_lossy(&reloaded.stdout), "applied\n", "{reloaded:?}");
    assert_eq!(models(&weir).models[0].generations[0].generation, 2);
    let (folder, _) = stop(weir);
    assert!(Path::new(&folder.path().join("learned/aurora/generation-00000002/manifest")).exists());
}
