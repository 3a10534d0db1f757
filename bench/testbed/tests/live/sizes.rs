//! The size model learns from real TCP flows, and what it has learned is published, taken back and found again.

use std::io::Write;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use weir_link::Settings;
use weir_testbed::bed::{Bed, CPU, SERVER_V4, SERVER_V6};
use weir_testbed::exposition::Scrape;
use weir_testbed::process::Process;
use weir_testbed::weir::Weir;

use crate::means::{Means, SECOND, counters};

/// A machine that compiles something takes its time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// Takes whatever comes to eight ports, each a service of its own.
const SERVER: &str = r#"
import socket, threading
def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        peer, _ = listener.accept()
        while peer.recv(65536):
            pass
        peer.close()
threads = [threading.Thread(target=serve, args=(5300 + n,)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"#;

/// Sends to each of them a small flow and a large one by turns, as no application that the shipped model knows. The first segment of
/// both is full.
const CLIENT: &str = r#"
import socket, sys, threading
def send(address, port):
    while True:
        for size in (3_000, 300_000):
            with socket.create_connection((address, port), timeout=10) as flow:
                flow.sendall(bytes(size))
                flow.shutdown(socket.SHUT_WR)
                flow.recv(1)
threads = [threading.Thread(target=send, args=(sys.argv[1 + n % 2], 5300 + n)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"#;

/// ONNX Runtime, which tunes; panics where nothing may be skipped.
pub(crate) fn onnxruntime(test: &str) -> Option<String> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../third_party/ort/libonnxruntime.so");
    let library = std::env::var_os("WEIR_ORT_LIB").map_or(shipped, Into::into);
    if library.is_file() {
        return Some(library.display().to_string());
    }
    let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{test}: no {}: run scripts/fetch-ort.sh", library.display());
    let _ =
        writeln!(std::io::stderr(), "SKIPPED {test}: no {}, scripts/fetch-ort.sh gets it", library.display());
    None
}

fn sum(scrape: &Scrape, name: &str) -> f64 {
    scrape.sum(name).unwrap()
}

fn look(weir: &mut Weir, bed: &Bed) -> Scrape {
    counters(weir, bed);
    weir.scrape(bed.weir.as_ref().unwrap()).unwrap()
}

/// Looks, with books that balance, until the metrics are as wanted.
fn until(weir: &mut Weir, bed: &Bed, what: &str, wanted: impl Fn(&Scrape) -> bool) -> Scrape {
    let began = Instant::now();
    loop {
        let scrape = look(weir, bed);
        if wanted(&scrape) {
            return scrape;
        }
        let by = |name: &str, label: &str| scrape.by(name, label).unwrap();
        let (samples, candidates) =
            (by("weir_learning_samples_total", "fate"), by("weir_candidates_total", "verdict"));
        assert!(began.elapsed() < PATIENCE, "{what}: samples {samples:?}, candidates {candidates:?}");
        std::thread::sleep(SECOND / 4);
    }
}

pub(crate) fn adapted(scrape: &Scrape) -> f64 {
    scrape.by("weir_model_swaps_total", "origin").unwrap().get("adapted").copied().unwrap_or(0.0)
}

/// By how much predictions were off between two scrapes, in doublings of the size.
fn error(from: &Scrape, to: &Scrape) -> f64 {
    let grown = |name: &str| sum(to, name) - sum(from, name);
    // The metric is in 1/65536 of a doubling.
    let error = grown("weir_schedule_prediction_error_total") / 65_536.0;
    error / grown("weir_schedule_predictions_judged_total").max(1.0)
}

pub(crate) fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn sizes_are_learned_from_real_flows() {
    let Some(means) = Means::find("sizes learned from real flows") else { return };
    let Some(onnxruntime) = onnxruntime("sizes learned from real flows") else { return };
    let settings = Settings { rate_bps: Some(1_000_000_000), delay_ns: 200_000, ..Settings::default() };
    let bed = Bed::new(true, settings, 1).unwrap();
    let config = means.config.with_file_name("schedule.toml");
    let store = format!("trainer.store={}", means.logs.path().join("learned").display());
    let library = format!("trainer.onnxruntime={onnxruntime}");
    let overrides = [store.as_str(), &library, "trainer.interval=200ms", "model[0].adapt.rows_min=64"];
    let mut weir = means.start_with(&config, &bed, &overrides);
    assert!(means.reaches(&bed, SERVER_V4) && means.reaches(&bed, SERVER_V6));
    // Until this test drops them.
    let python = |name: &str, netns: &weir_testbed::netns::Netns, words: &[&str]| -> Process {
        let words: Vec<&str> = [PYTHON, "-B", "-c"].iter().chain(words).copied().collect();
        netns.spawn(name, means.logs.path(), Some(CPU), &words).unwrap()
    };
    let _server = python("receivers", &bed.server, &[SERVER]);
    std::thread::sleep(SECOND);
    let _client = python("senders", &bed.client, &[CLIENT, SERVER_V4, SERVER_V6]);

    let began = look(&mut weir, &bed);
    let first = until(&mut weir, &bed, "nothing is published", |scrape| adapted(scrape) > 0.0);
    let before = error(&began, &first);
    // It goes on until it knows them: what was off by several doublings is off by less than half of that.
    let began = Instant::now();
    loop {
        let from = look(&mut weir, &bed);
        std::thread::sleep(3 * SECOND);
        let now = error(&from, &look(&mut weir, &bed));
        if now < before / 2.0 {
            let _ =
                writeln!(std::io::stderr(), "off by {before:.2} doublings before, by {now:.2} afterwards");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "off by {before} doublings before, by {now} now");
    }

    let models = said(weir.ctl(&["models"]).unwrap());
    assert!(models.contains("sizes, schedule") && models.contains("loss_candidate"), "{models}");
    let active = sum(&look(&mut weir, &bed), "weir_model_generation");
    said(weir.ctl(&["freeze", "sizes"]).unwrap());
    let back = said(weir.ctl(&["rollback"]).unwrap());
    assert!(back.starts_with("applied: generation "), "{back}");
    let frozen = sum(&look(&mut weir, &bed), "weir_model_generation");
    assert!(frozen > active, "{frozen} {active}");
    assert!(weir.stop(&means.interrupt).unwrap().success());

    // A restart finds it.
    let mut weir = means.start_with(&config, &bed, &overrides);
    assert!(sum(&look(&mut weir, &bed), "weir_model_generation") >= frozen);
    assert!(weir.stop(&means.interrupt).unwrap().success());
}
