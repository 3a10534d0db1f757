//! A model that chooses paths wrongly learns better from real deliveries by three paths, one of them slow.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use weir_testbed::bed::CPU;
use weir_testbed::exposition::Scrape;
use weir_testbed::netns::Netns;
use weir_testbed::paths::{FAR_V4, FAR_V6};
use weir_testbed::process::Process;
use weir_trainer::onnx::{export, import};

use crate::means::{Means, SECOND};
use crate::paths::Pair;
use crate::sizes::{PATIENCE, PYTHON, adapted, onnxruntime, said};

const SERVER: &str = r#"
import socket, threading
def take(peer):
    with peer:
        while peer.recv(65536):
            pass
listener = socket.create_server(("::", 5300), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
while True:
    threading.Thread(target=take, args=(listener.accept()[0],)).start()
"#;

/// Connections of some messages, three segments each and apart: deliveries. Many, since a flow that follows the rule keeps its path.
const CLIENT: &str = r#"
import random, socket, sys, threading, time
def send(address):
    while True:
        with socket.create_connection((address, 5300), timeout=10) as flow:
            for _ in range(10):
                flow.sendall(bytes(4_000))
                time.sleep(random.uniform(0.02, 0.06))
threads = [threading.Thread(target=send, args=(sys.argv[1 + n % 2],)) for n in range(24)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"#;

/// The shipped network with its last layer turned round: it likes what that one avoids.
fn misled(shipped: &Path, into: &Path) -> PathBuf {
    let mut network = import(shipped).unwrap();
    let last = network.layers.last_mut().unwrap();
    last.weights.iter_mut().for_each(|weight| *weight = -*weight);
    let file = into.join("misled.onnx");
    std::fs::write(&file, export(&network, "misled")).unwrap();
    file
}

/// `conf/balance.toml` with such a model, which learns.
fn learning(means: &Means) -> PathBuf {
    let shipped = means.config.with_file_name("balance.toml");
    let text = std::fs::read_to_string(&shipped).unwrap();
    let (file, model) = text.split_once("\n# [[model]]").unwrap();
    let model = model.replace("\n# Made for", "\n## Made for").replace("\n# ", "\n");
    let text = format!("{}\n[[model]]{model}", file.replace("\n# model = ", "\nmodel = "));
    let network = misled(&shipped.with_file_name("models/balance.onnx"), means.logs.path());
    let text = text.replace("\"models/balance.onnx\"", &format!("{:?}", network.display().to_string()));
    let file = means.logs.path().join("learning.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Frames of all paths, and of the slow one.
#[derive(Default)]
struct Frames(f64, f64);

impl Frames {
    /// Which share of the frames since this was last known went by the slow path, if there were some.
    fn slow_share(&mut self, scrape: &Scrape) -> Option<f64> {
        let paths = scrape.by("weir_path_frames_total", "path").unwrap();
        let now = Frames(paths.values().sum(), paths["south"]);
        let (all, slow) = (now.0 - self.0, now.1 - self.1);
        if all < 500.0 {
            return None;
        }
        *self = now;
        Some(slow / all)
    }
}

#[test]
fn paths_are_learned_from_real_deliveries() {
    const TEST: &str = "paths learned from real deliveries";
    let Some(means) = Means::find(TEST) else { return };
    let Some(onnxruntime) = onnxruntime(TEST) else { return };
    let mut pair = Pair::start_with(&means, &learning(&means), |end| {
        let mut words = vec![
            format!("trainer.store={}", means.logs.path().join(format!("learned-{end}")).display()),
            format!("trainer.onnxruntime={onnxruntime}"),
        ];
        let eager =
            ["trainer.interval=200ms", "model[0].adapt.rows_min=64", "model[0].adapt.learning_rate=0.003"];
        // The far end sends acknowledgements alone, from which nothing is learned, by a way that is part of each delivery's time.
        let control = if end == 0 { "balance.control_share=0.2" } else { "balance.control_share=1.0" };
        let shares = ["balance.sample_share=1.0", "balance.explore_share=0.2", control];
        words.extend(eager.iter().chain(&shares).map(|word| (*word).to_owned()));
        words
    });
    pair.bed.links[1].change("both delay=20ms").unwrap();
    let python = |name: &str, netns: &Netns, words: &[&str]| -> Process {
        let words: Vec<&str> = [PYTHON, "-B", "-c"].iter().chain(words).copied().collect();
        netns.spawn(name, means.logs.path(), Some(CPU), &words).unwrap()
    };
    let _server = python("receivers", &pair.bed.server, &[SERVER]);
    std::thread::sleep(SECOND);
    let _client = python("senders", &pair.bed.client, &[CLIENT, FAR_V4, FAR_V6]);

    let began = Instant::now();
    let mut seen = Frames::default();
    let at_first = loop {
        let [near, _] = pair.scrapes();
        if let Some(share) = seen.slow_share(&near) {
            break share;
        }
        assert!(began.elapsed() < PATIENCE, "too few frames");
        std::thread::sleep(SECOND / 4);
    };
    assert!(at_first > 0.4, "it does not like the slow path: {at_first}");
    let (learned, share) = loop {
        let [near, _] = pair.scrapes();
        let by = |name: &str, label: &str| near.by(name, label).unwrap();
        let rewards = by("weir_live_reward", "flows");
        let taken = by("weir_learning_samples_total", "fate")["taken"];
        // What the rule sends by the slow path takes several times as long. A third of what is explored does, too.
        let share = seen.slow_share(&near);
        let earns = taken > 1_000.0 && rewards["model"] > rewards["control"] + 0.2;
        if let Some(share) = share.filter(|share| adapted(&near) > 0.0 && earns && *share < 0.25) {
            break (near, share);
        }
        let candidates = by("weir_candidates_total", "verdict");
        let samples = by("weir_learning_samples_total", "fate");
        assert!(
            began.elapsed() < PATIENCE,
            "samples {samples:?}, candidates {candidates:?}, rewards {rewards:?}, by the slow path {share:?}"
        );
        std::thread::sleep(SECOND / 4);
    };
    let samples = learned.by("weir_learning_samples_total", "fate").unwrap();
    let told = samples["taken"] + samples["held_out"];
    // The first 256 tell what a unit of the scores is worth, and nothing else.
    assert!(told > 4.0 * (samples["no_outcome"] - 256.0) && samples["control"] > 0.0, "{samples:?}");
    let models = said(pair.weirs[0].ctl(&["models"]).unwrap());
    assert!(models.contains("balance, balance"), "{models}");
    let _ = writeln!(
        std::io::stderr(),
        "{told} deliveries in {:.0?}, {} generations, by the slow path {at_first:.2} and {share:.2}, rewards {:?}",
        began.elapsed(),
        adapted(&learned),
        learned.by("weir_live_reward", "flows").unwrap()
    );
    pair.stop(&means);
}
