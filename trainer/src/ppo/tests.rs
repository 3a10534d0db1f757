use super::*;
use crate::testing::engine;

pub(super) fn tiny(task: Task) -> Recipe {
    Recipe {
        batch: 800,
        minibatch: 256,
        steps: 3200,
        selection: (1, 3),
        evaluation: 2,
        hidden: vec![8],
        ..Recipe::of(task, 1)
    }
}

#[test]
fn a_training_that_was_stopped_ends_as_one_that_was_not() {
    let Some(engine) = engine("a resumed training") else { return };
    let given = Task::Given(|seed| weir_env::published::draw(&mut Rng::new(seed)));
    for task in [Task::Published, Task::Wide, Task::Preferences, given] {
        let mut whole = Training::new(&engine, tiny(task), 7).unwrap();
        let mut stopped = Training::new(&engine, tiny(task), 7).unwrap();
        stopped.iterate().unwrap();
        let kept = stopped.checkpoint();
        let mut resumed = Training::resume(&engine, tiny(task), 7, &kept).unwrap();
        assert_eq!(resumed.checkpoint(), kept);
        while !whole.is_done() {
            whole.iterate().unwrap();
        }
        while !resumed.is_done() {
            resumed.iterate().unwrap();
        }
        assert_eq!(resumed.checkpoint(), whole.checkpoint());
        assert_eq!(resumed.network(), whole.network());
    }
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let Some(engine) = engine("checkpoints") else { return };
    let kept = Training::new(&engine, tiny(Task::Published), 7).unwrap().checkpoint();
    let resume = |seed, bytes: &[u8]| Training::resume(&engine, tiny(Task::Published), seed, bytes).err();
    assert!(matches!(resume(8, &kept), Some(ResumeError::Other(_))));
    assert!(matches!(resume(7, &kept[..kept.len() / 2]), Some(ResumeError::Format(_))));
    assert!(resume(7, &kept).is_none());
}

#[test]
fn the_shipped_form_is_the_trained_function() {
    let Some(engine) = engine("the shipped form") else { return };
    let mut training = Training::new(&engine, tiny(Task::Published), 3).unwrap();
    training.iterate().unwrap();
    let shipped = training.network();
    let best = training.best.as_ref().unwrap();
    let mut greedy = Greedy::new(&best.network, Normal::features());
    let mut rng = Rng::new(1);
    for _ in 0..50 {
        let inputs: [i32; INPUTS] = std::array::from_fn(|_| 40_000 + rng.below(80_000) as i32);
        let bare: Vec<f64> = inputs.iter().map(|&x| f64::from(x) / 65_536.0).collect();
        let expected = shipped.evaluate(&bare)[0];
        let found = f64::from(greedy.act(&inputs)) / 65_536.0;
        assert!((expected - found).abs() < 1e-2, "{expected} {found}");
    }
}
