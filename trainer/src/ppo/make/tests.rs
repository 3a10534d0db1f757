//! Whole trainings of some thousand decisions, on disk.

use super::*;
use crate::ppo::Task;
use crate::ppo::tests::tiny;
use crate::testing::engine;
use tempfile::{TempDir, tempdir};

fn options(task: Task, folder: &TempDir) -> Options {
    Options {
        recipe: tiny(task),
        seed: 7,
        resume: false,
        folder: folder.path().join("made"),
        name: "small".to_owned(),
        command: "weir train small --seed 7".to_owned(),
        date: "2026-11-27".to_owned(),
    }
}

fn bytes(made: &Made) -> [Vec<u8>; 3] {
    [&made.model, &made.card, &made.curve].map(|file| fs::read(file).unwrap())
}

/// Files in the folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_training_leaves_a_model_its_card_and_its_curve() {
    let Some(engine) = engine("a whole training") else { return };
    let cases = [
        (Task::Published, "30-8-1", "2 paired episodes of 400 decisions"),
        (Task::Wide, "30-8-1", "| equal shares | 4 |"),
        (Task::Preferences, "33-8-1", "| 0.1 / 0.6 / 0.3 |"),
    ];
    for (task, shape, said) in cases {
        let folder = tempdir().unwrap();
        let options = options(task, &folder);
        let mut looks = 0;
        let mut last = (0, 0);
        let made = train(&engine, &options, &mut |progress| {
            assert!(progress.steps > last.0, "{progress:?} after {last:?}");
            looks += usize::from(progress.selected.is_some());
            last = (progress.steps, progress.steps_max);
        })
        .unwrap();
        assert!(last.0 >= last.1 && last.1 == options.recipe.steps, "{last:?}");
        assert_eq!(files(&options.folder), ["small.md", "small.onnx", "small.svg"]);
        let network = onnx::import(&made.model).unwrap();
        assert_eq!(network.shape(), shape);

        let card = fs::read_to_string(&made.card).unwrap();
        for words in [shape, said, "weir train small --seed 7", "on 2026-11-27", "BBR-like", "12bit"] {
            assert!(card.contains(words), "{words:?} in {card}");
        }
        let unfit = card.lines().find(|line| line.contains("NaN") || line.contains("inf "));
        assert_eq!(unfit, None);

        let svg = fs::read_to_string(&made.curve).unwrap();
        let drawn = roxmltree::Document::parse(&svg).unwrap();
        let lines: Vec<_> = drawn
            .descendants()
            .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "polyline")))
            .filter(|node| node.attribute("stroke-width") == Some("2"))
            .filter_map(|node| node.attribute("points"))
            .collect();
        let [line] = lines[..] else { panic!("{} learning curves in {svg}", lines.len()) };
        assert!(looks >= 2);
        assert_eq!(line.split_whitespace().count(), looks, "{line}");
    }
}

#[test]
fn a_training_that_was_stopped_and_resumed_leaves_the_same_files() {
    let Some(engine) = engine("a resumed training") else { return };
    let (whole, stopped) = (tempdir().unwrap(), tempdir().unwrap());
    let options = options(Task::Preferences, &whole);
    let resumed = Options { resume: true, folder: stopped.path().to_owned(), ..options.clone() };
    let checkpoint = "small.checkpoint";
    // What a stop after the first look leaves behind.
    let mut batches = 0;
    let made = train(&engine, &options, &mut |_| {
        batches += 1;
        if batches == 2 {
            fs::copy(options.folder.join(checkpoint), resumed.folder.join(checkpoint)).unwrap();
        }
    })
    .unwrap();
    let mut first = 0;
    let again = train(&engine, &resumed, &mut |progress| {
        first = if first == 0 { progress.steps } else { first };
    })
    .unwrap();
    assert!(first > options.recipe.batch as u64 * 3 / 2, "it began anew: {first}");
    assert!(bytes(&made) == bytes(&again), "the resumed training left other files");
    assert_eq!(files(&resumed.folder), files(&options.folder));
}

#[test]
fn a_checkpoint_of_other_options_is_refused_and_stays() {
    let Some(engine) = engine("checkpoints") else { return };
    let folder = tempdir().unwrap();
    let options = Options { resume: true, ..options(Task::Published, &folder) };
    fs::create_dir(&options.folder).unwrap();
    let file = options.folder.join("small.checkpoint");
    let longer = Recipe { steps: options.recipe.steps + 1, ..options.recipe.clone() };
    for (recipe, seed) in [(options.recipe.clone(), 8), (longer, 7), (tiny(Task::Preferences), 7)] {
        let other = Training::new(&engine, recipe, seed).unwrap().checkpoint();
        fs::write(&file, &other).unwrap();
        let refused = train(&engine, &options, &mut |_| panic!("it trains")).unwrap_err();
        assert!(
            matches!(&refused, TrainError::Resume(path, ResumeError::Other(_)) if *path == file),
            "{refused}"
        );
        assert_eq!(refused.to_string().lines().count(), 1, "{refused}");
        assert_eq!(
            (files(&options.folder), fs::read(&file).unwrap()),
            (vec!["small.checkpoint".into()], other)
        );
    }
    fs::write(&file, "{").unwrap();
    let refused = train(&engine, &options, &mut |_| panic!("it trains")).unwrap_err();
    assert!(matches!(refused, TrainError::Resume(_, ResumeError::Format(_))), "{refused}");
}
