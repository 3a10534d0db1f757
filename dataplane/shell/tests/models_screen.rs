//! What `weir ctl models` prints, on fixed reports.

use weir_shell::control::learning::{
    AdapterReport, Count, Figure, GenerationReport, Learning, LearningReport, ModelsReport, Progress,
    RefusalReport, TrainerReport,
};
use weir_shell::control::models_screen::render;

fn count(name: &str, count: u64) -> Count {
    Count { name: name.to_owned(), count }
}

fn generation(number: u32, state: &str, origin: &str, age_seconds: f64) -> GenerationReport {
    GenerationReport {
        generation: number,
        state: state.to_owned(),
        origin: origin.to_owned(),
        precision: "8bit".to_owned(),
        checksum: format!("89abcd{number:02x}"),
        age_seconds,
        refused: false,
        figures: Vec::new(),
    }
}

fn adapting() -> ModelsReport {
    let mut newest = generation(7, "active", "adapted", 42.0);
    let figure = |name: &str, value| Figure { name: name.to_owned(), value };
    newest.figures = vec![figure("fidelity_loss", 0.21), figure("quantisation_error_mean", 0.0123)];
    ModelsReport {
        unix_seconds: 1_795_730_655.5,
        trainer: Some(TrainerReport {
            running: true,
            core: 0,
            interval_seconds: 0.5,
            silent_seconds: 0.2,
            steps: 1_000,
            step_seconds: 4.2,
            step_seconds_max: 0.0181,
            onnxruntime: Some("1.26.0".to_owned()),
            store: "/var/lib/weir".to_owned(),
            store_fault: None,
        }),
        models: vec![LearningReport {
            name: "aurora".to_owned(),
            function: "pacing".to_owned(),
            file: "/etc/weir/models/aurora.onnx".to_owned(),
            learning: Learning::Adapting,
            why: None,
            tuner: Some("its built-in head".to_owned()),
            adapter: None,
            generations: vec![
                newest,
                generation(6, "previous", "rolled back to 4", 600.0),
                generation(4, "past", "configured", 100_000.0),
            ],
            progress: Some(Progress {
                samples: 123_456,
                window_rows: 8_000,
                window_rows_max: 16_384,
                loss: Some(-0.0123),
                stability: Some(0.31),
                fidelity_loss: Some(0.021),
                quantisation_error: None,
                reward_model: Some(0.8312),
                reward_control: Some(0.75),
                candidates: vec![count("accepted", 3), count("unnecessary", 990)],
                refusals: vec![RefusalReport {
                    unix_seconds: 1_795_730_650.0,
                    reason: "unnecessary".to_owned(),
                    text: "fidelity loss 0.021, expected at least 0.05".to_owned(),
                }],
            }),
        }],
    }
}

#[test]
fn a_model_learns() {
    insta::assert_snapshot!(render(&adapting()));
}

#[test]
fn a_model_cannot_learn_and_its_process_is_away() {
    let mut report = adapting();
    let trainer = report.trainer.get_or_insert_default();
    trainer.running = false;
    trainer.onnxruntime = None;
    trainer.store_fault = Some("/var/lib/weir/aurora: cannot write: no space left on device".to_owned());
    for model in &mut report.models {
        model.learning = Learning::Unable;
        model.why = Some("the trainer's thread has panicked; its last words are in the log".to_owned());
        model.adapter = Some(AdapterReport {
            socket: "/run/weir/tuner.sock".to_owned(),
            connections: 2,
            answers: 17,
            faults: vec![count("late", 2), count("absent", 40)],
            last_fault: Some("no answer to adapt by the deadline".to_owned()),
            ..AdapterReport::default()
        });
        model.progress = Some(Progress::default());
        model.generations.truncate(1);
        model.generations[0].refused = true;
        model.generations[0].figures.clear();
    }
    insta::assert_snapshot!(render(&report));
}

/// The documented form: names may be added to, never changed.
#[test]
fn the_json_has_the_documented_names() {
    let json = serde_json::to_string_pretty(&adapting()).unwrap_or_default();
    insta::assert_snapshot!(json);
    assert_eq!(serde_json::from_str::<ModelsReport>(&json).ok(), Some(adapting()));
}
