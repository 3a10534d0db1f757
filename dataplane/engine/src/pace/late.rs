//! Decisions that count only some time after they were made, as where a network runs elsewhere than on the packet's core
//! and its answer has to cross. A datapath decides inline and has no use for it; the simulator shows by it what the crossing
//! costs ([`Worker::deciding_late`](crate::Worker::deciding_late)).

use super::Pacing;
use super::decide::{count_limits, step};
use crate::counters::WorkerStats;
use crate::flow::FlowId;
use crate::time::{BitsPerSec, Ns};
use std::collections::VecDeque;

/// What a network has answered and nobody acts on yet. All are late by the same time, so the oldest is due first.
#[derive(Debug, Default)]
pub(super) struct Late {
    delay: Ns,
    answers: VecDeque<Answer>,
}

#[derive(Debug)]
struct Answer {
    due: Ns,
    index: u32,
    flow: FlowId,
    action_q16: i32,
    /// What the flow sent, if its sender was the limit.
    app_limited_at: Option<BitsPerSec>,
}

impl Late {
    /// Decisions count after `delay`.
    pub(super) fn new(delay: Ns) -> Late {
        Late { delay, answers: VecDeque::new() }
    }

    /// Whether they are late at all.
    pub(super) fn is_late(&self) -> bool {
        self.delay > Ns::ZERO
    }

    /// Keeps an answer for its time.
    pub(super) fn keep(
        &mut self,
        now: Ns,
        (index, flow): (u32, FlowId),
        action_q16: i32,
        app_limited_at: Option<BitsPerSec>,
    ) {
        self.answers.push_back(Answer { due: now + self.delay, index, flow, action_q16, app_limited_at });
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Ns> {
        self.answers.front().map(|answer| answer.due)
    }
}

impl<F> Pacing<F> {
    /// Acts on the answers whose time has come. A step is taken from the rate that the flow has by then.
    pub(super) fn act_late(&mut self, now: Ns, stats: &mut WorkerStats) {
        while self.late.next_due().is_some_and(|due| due <= now)
            && let Some(answer) = self.late.answers.pop_front()
        {
            let index = answer.index as usize;
            if let (Some(Some(flow)), Some(aside)) = (self.flows.get_mut(index), self.asides.get(index))
                && flow.id == answer.flow
            {
                let present = flow.pacer.rate();
                let action = (answer.action_q16, answer.app_limited_at);
                count_limits(stats, step(&self.settings, flow, present, aside.brake, action));
            }
        }
    }
}
