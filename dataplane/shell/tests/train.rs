//! `weir train`: what it is told, and what it says when it cannot go on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::path::Path;
use std::process::{Command, Output};
use weir_trainer::ort_engine::{Engine, EngineError, LIBRARY_VARIABLE};
use weir_trainer::ppo::{Recipe, Task, Training};

const LIBRARY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../third_party/ort/libonnxruntime.so");

fn weir(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    if std::env::var_os(LIBRARY_VARIABLE).is_none() {
        command.env(LIBRARY_VARIABLE, LIBRARY);
    }
    command.args(arguments).output().unwrap()
}

/// ONNX Runtime where it is installed; says loudly what is skipped where it is not.
fn engine() -> Option<Engine> {
    let named = std::env::var_os(LIBRARY_VARIABLE).is_some();
    match Engine::load((!named).then_some(Path::new(LIBRARY))) {
        Ok(engine) => Some(engine),
        Err(error @ EngineError::Missing(_)) => {
            let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
            assert!(!required, "{error}");
            eprintln!("SKIPPED weir train: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Each command resumes the training of its own task, seed and steps, and refuses any other's checkpoint, which stays.
#[test]
fn a_training_is_resumed_with_the_options_that_it_began_with() {
    let Some(engine) = engine() else { return };
    let models = [
        ("mocc", &["mocc"][..], Task::Preferences),
        ("aurora-wide", &["aurora", "--world", "wide"], Task::Wide),
        ("aurora-published", &["aurora", "--world", "published"], Task::Published),
    ];
    for (name, model, task) in models {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(format!("{name}.checkpoint"));
        let begun = Training::new(&engine, Recipe::of(task, 5000), 3).unwrap().checkpoint();
        std::fs::write(&file, &begun).unwrap();
        let out = ["--out", folder.path().to_str().unwrap(), "--resume"];
        for (seed, steps) in [("4", "5000"), ("3", "6000")] {
            let said = weir(&[&["train"], model, &["--seed", seed, "--steps", steps], &out].concat());
            let text = String::from_utf8(said.stderr).unwrap();
            assert_eq!(said.status.code(), Some(1), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
            let expected =
                [file.to_str().unwrap(), "a checkpoint of another training", "seed 3", "steps: 5000"];
            assert!(expected.iter().all(|words| text.contains(words)), "{text}");
            assert_eq!(std::fs::read(&file).unwrap(), begun);
        }
    }
}

/// `make train` runs the command that it finds there.
#[test]
fn the_card_of_each_shipped_model_has_its_command() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/models");
    let mut models = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "onnx") {
            let card = std::fs::read_to_string(file.with_extension("md")).unwrap();
            let commands = card.lines().filter(|line| line.starts_with("    weir train ")).count();
            assert_eq!(commands, 1, "{}", file.display());
            models += 1;
        }
    }
    assert!(models >= 3, "{models}");
}

#[test]
fn a_training_says_what_it_needs() {
    for arguments in
        [&["mocc"][..], &["mocc", "--out", "x", "--steps", "many"], &["aurora", "--world", "flat"]]
    {
        let said = weir(&[&["train"], arguments].concat());
        assert_eq!(said.status.code(), Some(2), "{arguments:?}");
    }
}
