//! The prediction: one batch for all flows whose first data segment came in a burst.

use super::Schedule;
use super::flow::{Decider, ScheduledId};
use crate::counters::WorkerStats;
use crate::io::BURST;
use crate::models::ModelSet;
use crate::time::Ns;
use arrayvec::ArrayVec;
use weir_features::{SIZE_INPUTS, bytes_of_log2_q16};
use weir_snapshot::Scratch;

/// Flows that wait for their prediction.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) flows: ArrayVec<ScheduledId, BURST>,
    rows: Box<[i16; BURST * SIZE_INPUTS]>,
    scratch: Scratch,
}

impl Batch {
    pub(super) fn new() -> Batch {
        Batch { flows: ArrayVec::new(), rows: Box::new([0; BURST * SIZE_INPUTS]), scratch: Scratch::new() }
    }
}

impl<F> Schedule<F> {
    /// Predicts for those whose answer counts by now; who has begun in this burst waits for it.
    pub(super) fn predict_late(&mut self, models: &ModelSet, now: Ns, stats: &mut WorkerStats) {
        let Some((delay, waiting)) = &mut self.late else { return };
        waiting.extend(self.batch.flows.drain(..).map(|id| (now + *delay, id)));
        loop {
            let Some((_, waiting)) = &mut self.late else { return };
            while !self.batch.flows.is_full()
                && waiting.front().is_some_and(|(due, _)| *due <= now)
                && let Some((_, id)) = waiting.pop_front()
            {
                // One that has gone meanwhile has left its place to another, which is asked for anew.
                if matches!(self.flows.get(id.index()), Some(Some(flow)) if flow.decider == Decider::Undecided)
                {
                    self.batch.flows.push(id);
                }
            }
            if self.batch.flows.is_empty() {
                return;
            }
            self.predict(models, stats);
        }
    }

    /// Predicts the sizes of the flows that wait for it. Without a network they follow the rule, for good: what was decided
    /// belongs to its flow.
    pub(super) fn predict(&mut self, models: &ModelSet, stats: &mut WorkerStats) {
        let Batch { flows, rows, scratch } = &mut self.batch;
        let Some(generation) = models.active().filter(|_| self.config.model) else {
            for id in flows.drain(..) {
                if let Some(Some(flow)) = self.flows.get_mut(id.index()) {
                    flow.decider = Decider::Rule;
                    stats.scheduled_rule += 1;
                }
            }
            return;
        };
        let count = flows.len();
        let executable = generation.executable();
        for (id, row) in flows.iter().zip(rows.chunks_exact_mut(SIZE_INPUTS)) {
            if let Some(Some(flow)) = self.flows.get(id.index()) {
                executable.quantise_row(&flow.features, row);
            }
        }
        let mut outputs = [0; BURST];
        executable.run(&rows[..count * SIZE_INPUTS], count, &mut outputs[..count], scratch);
        stats.schedule_inferences += count as u64;
        stats.schedule_inference_batches += 1;
        let schema_hash = executable.snapshot().schema_hash();
        for (id, output_q16) in flows.drain(..).zip(outputs) {
            let Some(Some(flow)) = self.flows.get_mut(id.index()) else { continue };
            let predicted = bytes_of_log2_q16(output_q16);
            let bounded = predicted.clamp(self.config.predicted_min, self.config.predicted_max);
            stats.schedule_floor += u64::from(bounded > predicted);
            stats.schedule_ceiling += u64::from(bounded < predicted);
            stats.scheduled_model += 1;
            flow.decider = Decider::Model;
            flow.estimate = bounded;
            flow.output_q16 = output_q16;
            (flow.generation, flow.schema_hash) = (generation.number(), schema_hash);
        }
    }
}
