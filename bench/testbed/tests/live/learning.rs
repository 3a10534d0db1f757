//! A user's own tuner, a process in Python, learns from real TCP, and is treated badly.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU, SERVER_V4, SERVER_V6};
use weir_testbed::exposition::Scrape;
use weir_testbed::iperf::{Iperf, Plan};
use weir_testbed::process::Process;
use weir_testbed::weir::Weir;

use crate::means::{Means, SECOND, counters};

/// The interpreter for which `scripts/setup.sh` installs numpy.
const PYTHON: &str = "/usr/bin/python3";
/// Flows of each IP version.
const FLOWS: u32 = 6;
/// A machine that compiles something takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whether there is numpy; panics where nothing may be skipped.
fn numpy(test: &str) -> bool {
    let found = Command::new(PYTHON).args(["-c", "import numpy"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{test}: {PYTHON} has no numpy: run scripts/setup.sh");
    let _ =
        writeln!(std::io::stderr(), "SKIPPED {test}: {PYTHON} has no numpy, scripts/setup.sh installs it");
    false
}

/// The example tuner, listening at `socket`.
fn tuner(means: &Means, name: &str, socket: &Path) -> Process {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../trainer/python");
    let path = format!("PYTHONPATH={}", python.display());
    let program = python.join("examples/numpy_tuner.py").display().to_string();
    let words = ["env", &path, PYTHON, "-B", &program, &socket.display().to_string()];
    Process::spawn(name, means.logs.path(), Some(CPU), &words).unwrap()
}

fn sum(scrape: &Scrape, name: &str) -> f64 {
    scrape.sum(name).unwrap()
}

/// Looks, with books that balance, until the metrics are as wanted.
fn until(weir: &mut Weir, bed: &Bed, what: &str, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let began = Instant::now();
    loop {
        counters(weir, bed);
        let scrape = weir.scrape(bed.weir.as_ref().unwrap()).unwrap();
        if wanted(&scrape) {
            return scrape;
        }
        let candidates = scrape.by("weir_candidates_total", "verdict").unwrap();
        let faults = scrape.by("weir_adapter_faults_total", "reason").unwrap();
        assert!(began.elapsed() < PATIENCE, "{what}: candidates {candidates:?}, faults {faults:?}");
        std::thread::sleep(SECOND / 4);
    }
}

#[test]
fn a_process_of_a_users_own_tunes_on_real_traffic_and_its_death_is_no_packets_business() {
    let Some(means) = Means::find("adapter process") else { return };
    if !numpy("adapter process") {
        return;
    }
    let socket = means.logs.path().join("tuner.sock");
    let first = tuner(&means, "tuner", &socket);
    let bed = Bed::new(true, Settings::default(), 1).unwrap();
    let config = means.config.with_file_name("adaptive.toml");
    let adapter = format!("model[0].adapt.adapter={}", socket.display());
    let store = format!("trainer.store={}", means.logs.path().join("learned").display());
    let learning = ["trainer.interval=200ms", "model[0].adapt.rows_min=64", "pacing.explore_share=0.5"];
    // Candidates are to be judged on everything that comes, not only once all is calm.
    let eager = ["model[0].adapt.gate.stability_tolerance=100.0", "pacing.sample_share=0.5"];
    let mut overrides = vec![adapter.as_str(), &store];
    overrides.extend(learning.iter().chain(&eager));
    let mut weir = means.start_with(&config, &bed, &overrides);
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    // Until this test drops them.
    let _flows: Vec<Iperf> = [("v4", SERVER_V4, 5201), ("v6", SERVER_V6, 5202)]
        .map(|(name, address, port)| {
            means.flow_to(&bed, Plan { name, address, port, flows: FLOWS, seconds: 3_600, from: None })
        })
        .into();

    // Its network was looked at, too, and not only its stability value.
    let frozen = |scrape: &Scrape| {
        let candidates = scrape.by("weir_candidates_total", "verdict").unwrap();
        candidates.iter().filter(|(verdict, _)| *verdict != "not_converged").any(|(_, count)| *count > 0.0)
    };
    let learnt = until(&mut weir, &bed, "it does not learn", |scrape| {
        sum(scrape, "weir_learning_steps_total") >= 5.0 && frozen(scrape)
    });
    assert_eq!(sum(&learnt, "weir_adapter_connected"), 1.0);
    // To adapt and to evaluate in each step, and to freeze.
    let answers = sum(&learnt, "weir_adapter_answers_total");
    assert!(answers > 2.0 * sum(&learnt, "weir_learning_steps_total"), "{answers}");
    assert!(learnt.by("weir_learning_samples_total", "fate").unwrap()["taken"] >= 300.0);

    // Killed, in the midst of a call or not.
    let before = counters(&mut weir, &bed).account.verdicts["paced"];
    first.signal(Signal::SIGKILL).unwrap();
    drop(first);
    let faults = sum(&learnt, "weir_adapter_faults_total");
    let alone = until(&mut weir, &bed, "nobody notices", |scrape| {
        sum(scrape, "weir_adapter_connected") == 0.0 && sum(scrape, "weir_adapter_faults_total") > faults
    });
    std::thread::sleep(SECOND);
    assert!(counters(&mut weir, &bed).account.verdicts["paced"] > before + 500, "traffic goes on");

    let steps = sum(&alone, "weir_learning_steps_total");
    let _second = tuner(&means, "tuner-again", &socket);
    until(&mut weir, &bed, "it does not learn again", |scrape| {
        sum(scrape, "weir_learning_steps_total") >= steps + 3.0
            && sum(scrape, "weir_adapter_connected") == 1.0
    });
    assert!(weir.stop(&means.interrupt).unwrap().success());
}
