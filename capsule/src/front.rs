//! What a worker polls: its queues, behind a pipeline.

use crate::books::Books;
use crate::lend::{lend, reclaim};
use capsule::batch::{PacketRx, PacketTx, Pipeline};
use capsule_ffi::handover;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use weir_dpdk::Mbuf;
use weir_engine::io::{BURST, Burst, Denied, Frame, PacketIo, Side};
use weir_engine::time::Ns;
use weir_shell::run::MbufFrame;

/// Frames that a pipeline may keep before its side is polled no more: what then arrives waits in the port, which counts
/// what it misses. Eight bursts, as the worker's backlog.
const KEPT_MAX: u64 = 256;

/// Where a pipeline's frames come from: give it to [`capsule::batch::Poll`].
#[derive(Debug)]
pub struct Inlet(Rc<RefCell<Vec<capsule::Mbuf>>>);

impl PacketRx for Inlet {
    fn receive(&mut self) -> Vec<capsule::Mbuf> {
        self.0.take()
    }
}

/// Where they go on to the worker: give it to `send`, and clones of it to whatever emits.
#[derive(Clone, Debug)]
pub struct Outlet(Rc<RefCell<VecDeque<MbufFrame>>>);

impl PacketTx for Outlet {
    fn transmit(&mut self, packets: Vec<capsule::Mbuf>) {
        self.0.borrow_mut().extend(packets.into_iter().filter_map(reclaim).map(MbufFrame::from));
    }
}

/// One side: a pipeline and its two ends.
struct Stage<P> {
    pipeline: P,
    inlet: Rc<RefCell<Vec<capsule::Mbuf>>>,
    outlet: Rc<RefCell<VecDeque<MbufFrame>>>,
    /// Dropped, and not reported to the worker yet.
    denied: Denied,
}

/// Queues behind a pipeline on each side.
pub struct Front<Io, P> {
    io: Io,
    stages: [Stage<P>; 2],
    arrived: Burst<MbufFrame>,
    books: Arc<Books>,
}

impl<Io: PacketIo<Frame = MbufFrame>, P: Pipeline> Front<Io, P> {
    /// A front over `io`, whose pipelines `build` makes: from each side's name, where its frames come from and where they
    /// go. A pipeline is run when something has arrived or it has kept something; it stays on this thread.
    pub fn new(io: Io, books: Arc<Books>, mut build: impl FnMut(Side, Inlet, Outlet) -> P) -> Front<Io, P> {
        let stages = Side::ALL.map(|side| {
            let (inlet, outlet) = (Rc::default(), Rc::default());
            let pipeline = build(side, Inlet(Rc::clone(&inlet)), Outlet(Rc::clone(&outlet)));
            Stage { pipeline, inlet, outlet, denied: Denied::default() }
        });
        Front { io, stages, arrived: Burst::new(), books }
    }
}

impl<P: Pipeline> Stage<P> {
    /// Runs the pipeline once over what has arrived. Returns how many frames came in and how many it dropped.
    fn run(&mut self, arrived: &mut Burst<MbufFrame>) -> (u64, u64) {
        let taken = arrived.len() as u64;
        let before = handover::freed();
        let mut refused = Denied::default();
        {
            let mut inlet = self.inlet.borrow_mut();
            inlet.reserve(arrived.len());
            for frame in arrived.drain(..) {
                let bytes = u64::from(frame.wire_len());
                match lend(Mbuf::from(frame)) {
                    Ok(packet) => inlet.push(packet),
                    Err(_) => refused = Denied { frames: refused.frames + 1, bytes: refused.bytes + bytes },
                }
            }
        }
        self.pipeline.run_once();
        let freed = handover::freed() - before;
        let denied = freed.frames + refused.frames;
        self.denied.frames += denied;
        self.denied.bytes += freed.bytes + refused.bytes;
        (taken, denied)
    }
}

impl<Io: PacketIo<Frame = MbufFrame>, P: Pipeline> PacketIo for Front<Io, P> {
    type Frame = MbufFrame;

    fn rx(&mut self, side: Side, into: &mut Burst<MbufFrame>) -> usize {
        let (stage, books) = (&mut self.stages[side as usize], self.books.side(side));
        let kept = books.kept();
        if kept < KEPT_MAX {
            self.io.rx(side, &mut self.arrived);
        }
        if self.arrived.is_empty() && kept == 0 {
            return 0;
        }
        let (taken, denied) = stage.run(&mut self.arrived);
        let mut outlet = stage.outlet.borrow_mut();
        let passed = outlet.len().min(BURST - into.len());
        into.extend(outlet.drain(..passed));
        books.passed.add(passed as u64);
        books.denied.add(denied);
        books.taken.add(taken);
        passed
    }

    fn now(&self) -> Option<Ns> {
        self.io.now()
    }

    fn take_denied(&mut self, side: Side) -> Denied {
        std::mem::take(&mut self.stages[side as usize].denied)
    }

    fn tx(&mut self, side: Side, from: &mut Burst<MbufFrame>) -> usize {
        self.io.tx(side, from)
    }

    fn make(&mut self, side: Side, len: usize) -> Option<MbufFrame> {
        self.io.make(side, len)
    }
}

#[cfg(test)]
mod tests;
