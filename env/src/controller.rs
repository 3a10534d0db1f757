//! Who decides a flow's rate, and what they are told.

use weir_features::{ACTION_MAX_Q16, Brake, INPUTS, IntervalReport, apply_action};

/// Decides a flow's rate at the end of each of its monitor intervals.
pub trait Controller {
    /// An episode with this many flows begins: whatever was remembered of others is void.
    fn begin(&mut self, flows: usize);
    /// The rate from here on, in bits per second. The world holds it within the conditions' bounds.
    fn decide(&mut self, ended: &Ended<'_>) -> u64;
}

/// A pacing policy: a network's inputs in, its action out.
pub trait Policy {
    /// The action in 1/65536 for these inputs (features in 1/65536, oldest interval first).
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32;
}

impl<P: Policy + ?Sized> Policy for Box<P> {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        (**self).act(inputs)
    }
}

/// A policy as a controller: its actions within the guard's limit, applied as the datapath applies them.
#[derive(Debug, Clone)]
pub struct Acting<P>(pub P);

/// A controller under the guard's brake, as the datapath has it: what its networks meet there, but nothing that they are trained
/// with. Bounds on action and rate are the world's.
#[derive(Debug, Clone, Default)]
pub struct Braked<C> {
    controller: C,
    brakes: Vec<Brake>,
}

impl<C> Braked<C> {
    /// `controller` with the brake in all flows.
    pub fn new(controller: C) -> Self {
        Self { controller, brakes: Vec::new() }
    }
}

impl<C: Controller> Controller for Braked<C> {
    fn begin(&mut self, flows: usize) {
        self.brakes.clear();
        self.controller.begin(flows);
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        if self.brakes.len() <= ended.flow {
            self.brakes.resize_with(ended.flow + 1, Brake::default);
        }
        let brake = &mut self.brakes[ended.flow];
        if let Some(report) = ended.report {
            // The world's packets are whole frames.
            brake.observe(report, report.acked_bytes, 0);
        }
        brake.limit(self.controller.decide(ended))
    }
}

/// An interval that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended<'a> {
    /// The flow, from 0.
    pub flow: usize,
    /// When, in seconds from the episode's beginning.
    pub at_s: f64,
    /// The flow's rate in the interval, in bits per second.
    pub rate_bps: u64,
    /// What a network is shown for the decision: this interval is the newest.
    pub inputs: &'a [i32; INPUTS],
    /// What the interval brought. `None` after a warm-up, which is shown to nobody: the inputs are those of a fresh flow.
    pub report: Option<&'a IntervalReport>,
    /// Whether a decision governed the interval, so that what it brought is that decision's outcome.
    pub decided: bool,
    /// What no flow can know.
    pub truth: Truth,
}

/// The state of the path at this moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Truth {
    /// Capacity in bits per second.
    pub capacity_bps: f64,
    /// RTT on an empty queue in seconds, a packet's own transmission included.
    pub empty_rtt_s: f64,
    /// Mean time in seconds that the packets waited in the queue of which the flow has heard in the interval.
    pub queue_s: f64,
    /// Time of one packet at the bottleneck, in seconds.
    pub packet_s: f64,
    /// Below it the features do not tell RTTs apart, in seconds.
    pub rtt_floor_s: f64,
    /// Flows that have begun.
    pub flows: usize,
}

impl<P: Policy> Controller for Acting<P> {
    fn begin(&mut self, _flows: usize) {}

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        let action = self.0.act(ended.inputs).clamp(-ACTION_MAX_Q16, ACTION_MAX_Q16);
        apply_action(ended.rate_bps, action)
    }
}

impl<C: Controller + ?Sized> Controller for &mut C {
    fn begin(&mut self, flows: usize) {
        (**self).begin(flows);
    }

    fn decide(&mut self, ended: &Ended<'_>) -> u64 {
        (**self).decide(ended)
    }
}

impl<P: Policy + ?Sized> Policy for &mut P {
    fn act(&mut self, inputs: &[i32; INPUTS]) -> i32 {
        (**self).act(inputs)
    }
}
