use super::*;

#[test]
fn a_short_training_writes_a_model_that_the_engine_runs_and_is_repeatable() {
    let fit = Fit { steps: 300, batch: 32, learning_rate: 3e-3 };
    let recipe = Recipe { rounds: 2, arrivals: Ns::from_millis(2), judges: 1, fit };
    let train = |jobs| {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            recipe,
            seed: 3,
            folder: folder.path().to_path_buf(),
            command: "weir train balance --seed 3 --out conf/models".to_owned(),
            date: "2026-01-01".to_owned(),
            jobs,
        };
        let mut lines = Vec::new();
        let made = make(&options, &mut |line| lines.push(line.to_owned())).unwrap();
        let read = |path: &Path| fs::read(path).unwrap();
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!((lines.len(), files), (2, 3), "{lines:?}");
        by(built(&made.model, Precision::Bits8).unwrap()).unwrap();
        [read(&made.model), read(&made.card), read(&made.curve)]
    };
    let made = train(1);
    assert_eq!(made, train(2));
    let card = String::from_utf8_lossy(&made[1]).into_owned();
    assert!(
        card.contains("\n    weir train balance --seed 3") && card.contains("| balance, 12bit |"),
        "{card}"
    );
}
