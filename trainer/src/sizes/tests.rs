use super::flows::{Workload, judged};
use super::train::{APPLICATION, Recipe, predicted, r2, train};
use super::{NAME, Options, TrainError, make};
use crate::network::Network;
use crate::rng::Rng;
use crate::spec::{self, ModelSpec};
use crate::testing;
use std::path::Path;
use weir_env::jobs::Application;
use weir_snapshot::Precision;

const SMALL: Recipe = Recipe { hidden: [24, 12], steps: 120, rows: 128, learning_rate: 5e-3 };

/// What the network explains of a web server's flows at 0.9, and what is visible of them.
fn found(network: &Network) -> (f64, f64) {
    let workloads = Workload::all();
    let (flows, known) =
        judged(&Application::new(APPLICATION), &workloads[2].sizes, 0.9, (30, 60), &mut Rng::new(77));
    (r2(&flows, |_, flow| predicted(network, flow)), r2(&flows, |at, _| known[at].visible))
}

#[test]
fn a_little_training_is_repeatable_and_predicts() {
    let Some(engine) = testing::engine("a trained size predictor") else { return };
    let trained = || train(&engine, SMALL, APPLICATION, 4, &mut |_| {}).unwrap();
    let (network, points) = trained();
    let (r2, visible) = found(&network);
    assert!(r2 > 0.5 && r2 < visible + 0.02, "{r2} of {visible}");
    assert!(points.last().unwrap().r2 > points[0].r2);
    assert_eq!((network, points), trained());
}

#[test]
fn a_network_that_predicts_too_little_replaces_nothing() {
    let Some(engine) = testing::engine("a size predictor that is too weak") else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        recipe: Recipe { steps: 24, ..SMALL },
        seed: 1,
        folder: folder.path().to_path_buf(),
        command: String::new(),
        date: String::new(),
    };
    assert!(matches!(make(&engine, &options, &mut |_| {}), Err(TrainError::Weak { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_shipped_model_builds_and_predicts_what_its_card_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf/models/schedule.onnx");
    let built = spec::build(&ModelSpec::schedule(NAME, &file, Precision::Bits12)).unwrap();
    let (r2, visible) = found(&built.network);
    assert!(r2 > 0.9 * visible, "{r2} of {visible}");
}
