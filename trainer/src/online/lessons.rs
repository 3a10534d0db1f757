//! What a network is taught that fares worse than the rule.
//!
//! Where the policy breaks, reinforcement finds no way back: all flows sit at the guard's lowest rate, every action that they
//! explore is worth the same there, and the states in which something could be learnt are never met. So long as flows of the
//! control share earn much more beyond doubt, and in replay the teacher does, the network learns by imitation: in every state that live flows report, what a
//! classical controller would do there ([`teacher`](crate::imitate::teacher)) is what it should have said. The network drives
//! and the teacher corrects, which is imitation with corrections (DAgger: Ross, Gordon, Bagnell, AISTATS 2011); rehearsals add
//! the states that the teacher itself would lead to. On paths that are not in use the network is taught what the running one says there.
//!
//! It is the gate, as ever, that says whether the pupil is any better than what runs.

use super::batch::{Batch, Row};
use super::watch::MUCH;
use crate::imitate::teacher;
use crate::network::Network;
use crate::quantise::InputMap;
use weir_features::{INPUTS, ONE};

/// Weight of the newest step in the teacher's lead.
const SMOOTHING: f64 = 0.3;

/// Whether there are lessons, and whether they are any use.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lessons {
    /// How much more the teacher earns than what runs, in replay on paths in use, smoothed; `None` while flows under the rule
    /// fare no better.
    lead: Option<f64>,
    under_way: bool,
}

impl Lessons {
    /// Whether flows under the rule fared much better so far.
    pub(super) fn needed(&self) -> bool {
        self.lead.is_some()
    }

    /// Whether the network is taught.
    pub(super) fn under_way(&self) -> bool {
        self.under_way
    }

    /// Flows under the rule fare much better, and the teacher earned so much more than what runs: lessons begin where that is
    /// [`MUCH`], too, and end at half of that.
    pub(super) fn note(&mut self, lead: f64) {
        let before = self.lead.unwrap_or(0.0);
        let lead = before + SMOOTHING * (lead - before);
        self.lead = Some(lead);
        self.under_way = lead > if self.under_way { MUCH / 2.0 } else { MUCH };
    }
}

/// Appends the rows of `from`, with the teacher's answer as what should have been said.
pub(super) fn taught(from: &Batch, inputs: &[InputMap], lessons: &mut Batch) {
    for row in from.rows() {
        push(lessons, &row, teacher::action(&features_of(&row, inputs)) as f32);
    }
}

/// The features of which a row's inputs came about, in 1/65536.
pub(super) fn features_of(row: &Row<'_>, inputs: &[InputMap]) -> [i32; INPUTS] {
    let mut features = [0; INPUTS];
    for ((feature, map), &input) in features.iter_mut().zip(inputs).zip(row.inputs) {
        *feature = (map.unapply(f64::from(input)) * f64::from(ONE)).round() as i32;
    }
    features
}

/// Appends the rows of `from`, with the answer of what `runs` as what should have been said.
pub(super) fn kept(from: &Batch, runs: &Network, lessons: &mut Batch) {
    for row in from.rows() {
        push(lessons, &row, runs.answer(row.inputs.iter().copied()) as f32);
    }
}

fn push(lessons: &mut Batch, row: &Row<'_>, answer: f32) {
    lessons.push(&Row { reward: answer, continues: false, explored: false, ..*row });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::online::gate::tests::{network, terms};
    use crate::verify::{network_inputs, rows};

    /// Decisions whose inputs came about from these features.
    fn met(features: &[Vec<i32>], inputs: &[InputMap]) -> Batch {
        let mut batch = Batch::new(inputs.len());
        for features in features {
            let row: Vec<f32> = network_inputs(inputs, features).into_iter().map(|x| x as f32).collect();
            batch.push(&Row {
                inputs: &row,
                action: 3.0,
                noise: 1.0,
                log_prob: -1.0,
                reward: 0.5,
                weight: 1.0,
                continues: true,
                explored: true,
                remembered: true,
            });
        }
        batch
    }

    #[test]
    fn the_answer_is_the_teachers_or_what_runs() {
        let mut inputs = terms().inputs;
        // Whatever the model's own scale is, the teacher sees features.
        inputs.iter_mut().for_each(|map| (map.scale, map.offset) = (-2.0, 7.0));
        let features = rows(&inputs, 3, 20, 5);
        let (mut lessons, from) = (Batch::new(inputs.len()), met(&features, &inputs));
        taught(&from, &inputs, &mut lessons);
        kept(&from, &network(1), &mut lessons);
        assert_eq!(lessons.len(), 40);
        for (at, row) in lessons.rows().enumerate() {
            assert!(!row.continues && !row.explored);
            let expected = if at < 20 {
                let clipped: Vec<i32> = features[at]
                    .iter()
                    .zip(&inputs)
                    .map(|(&x, map)| {
                        let real = f64::from(x) / f64::from(ONE);
                        (real.clamp(map.clip[0], map.clip[1]) * f64::from(ONE)).round() as i32
                    })
                    .collect();
                teacher::action(clipped.as_slice().try_into().unwrap())
            } else {
                network(1).answer(row.inputs.iter().copied())
            };
            assert!((f64::from(row.reward) - expected).abs() < 2e-3, "{at}: {} {expected}", row.reward);
        }
    }

    #[test]
    fn lessons_begin_where_the_teacher_leads_and_end_where_the_pupil_has_caught_up() {
        let mut lessons = Lessons::default();
        assert!(!lessons.needed() && !lessons.under_way());
        lessons.note(0.01);
        assert!(lessons.needed() && !lessons.under_way(), "it knows no better");
        (0..3).for_each(|_| lessons.note(0.3));
        assert!(lessons.under_way());
        lessons.note(0.03);
        assert!(lessons.under_way(), "not by one step");
        (0..20).for_each(|_| lessons.note(0.0));
        assert!(!lessons.under_way());
    }
}
