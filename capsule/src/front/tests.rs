//! Frames by ownership: the same buffers, all of them accounted for, all of them back in their pool.

use super::*;
use crate::acl::{AclStage, load};
use capsule::batch::{Batch, Poll};
use capsule::packets::{Ethernet, Packet};
use std::path::Path;
use weir_dpdk::{Pool, testing};
use weir_engine::Worker;
use weir_engine::policy::Policy;
use weir_engine::time::Ns;
use weir_engine::verdict::Verdict;
use weir_handoff::{epoch, lane};

/// Ports in memory.
#[derive(Default)]
struct Memory {
    inbox: [VecDeque<MbufFrame>; 2],
    outbox: [Vec<MbufFrame>; 2],
}

impl PacketIo for Memory {
    type Frame = MbufFrame;

    fn rx(&mut self, side: Side, into: &mut Burst<MbufFrame>) -> usize {
        let inbox = &mut self.inbox[side as usize];
        let count = inbox.len().min(into.remaining_capacity());
        into.extend(inbox.drain(..count));
        count
    }
    fn tx(&mut self, side: Side, from: &mut Burst<MbufFrame>) -> usize {
        let count = from.len();
        self.outbox[side as usize].extend(from.drain(..));
        count
    }
    fn make(&mut self, _: Side, _: usize) -> Option<MbufFrame> {
        None
    }
}

fn pool(name: &str) -> Pool {
    Pool::new(testing::eal(), name, 127, 0, 2_048).unwrap()
}

/// A frame of 60 bytes whose destination address ends with `mark`.
fn frame(pool: &Pool, mark: u8) -> MbufFrame {
    let mut mbuf = pool.alloc().unwrap();
    let mut bytes = [0; 60];
    (bytes[5], bytes[12], bytes[13]) = (mark, 0x88, 0xb5);
    mbuf.append(&bytes).unwrap();
    MbufFrame::from(mbuf)
}

fn mark(frame: &MbufFrame) -> u8 {
    frame.bytes()[5]
}

fn receive<P: Pipeline>(front: &mut Front<Memory, P>, side: Side) -> Vec<MbufFrame> {
    let mut burst = Burst::new();
    assert_eq!(front.rx(side, &mut burst), burst.len());
    burst.into_iter().collect()
}

#[test]
fn the_buffers_that_arrive_are_the_buffers_that_the_worker_gets_in_their_order() {
    let pool = pool("same");
    let mut io = Memory::default();
    io.inbox[0].extend((0..40).map(|number| frame(&pool, number)));
    let arrived: Vec<*const u8> = io.inbox[0].iter().map(|frame| frame.bytes().as_ptr()).collect();
    let books = Arc::new(Books::default());
    let mut front = Front::new(io, Arc::clone(&books), |_, inlet, outlet| Poll::new(inlet).send(outlet));
    let mut got = receive(&mut front, Side::Inside);
    assert_eq!(got.len(), BURST);
    got.extend(receive(&mut front, Side::Inside));
    assert_eq!(got.iter().map(|frame| frame.bytes().as_ptr()).collect::<Vec<_>>(), arrived);
    assert_eq!(got.iter().map(mark).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
    assert!(receive(&mut front, Side::Outside).is_empty());
    assert_eq!(front.take_denied(Side::Inside), Denied::default());
    let inside = books.side(Side::Inside);
    assert_eq!((inside.taken(), inside.passed(), inside.denied(), inside.kept()), (40, 40, 0, 0));
    assert_eq!(pool.in_use(), 40);
    drop((got, front));
    assert_eq!(pool.in_use(), 0);
}

/// Bulk free, free one by one and an error on the way: three ways in which capsule drops.
#[test]
fn what_a_pipeline_drops_in_whatever_way_is_denied_and_its_buffer_is_back() {
    let pool = pool("drops");
    let mut io = Memory::default();
    io.inbox[1].extend((0..32).map(|number| frame(&pool, number)));
    let mut front = Front::new(io, Arc::default(), |_, inlet, outlet| {
        Poll::new(inlet)
            .filter(|packet: &capsule::Mbuf| !last_of_address(packet).is_multiple_of(4))
            .map(|packet: capsule::Mbuf| match last_of_address(&packet) % 4 {
                1 => Err(capsule_error()),
                _ => Ok(packet),
            })
            .for_each(|packet: &capsule::Mbuf| match last_of_address(packet) % 4 {
                2 => Err(capsule_error()),
                _ => Ok(()),
            })
            .send(outlet)
    });
    let got = receive(&mut front, Side::Outside);
    assert_eq!(got.iter().map(mark).collect::<Vec<_>>(), (3..32).step_by(4).collect::<Vec<_>>());
    assert_eq!(front.take_denied(Side::Outside), Denied { frames: 24, bytes: 24 * 60 });
    assert_eq!(front.take_denied(Side::Outside), Denied::default());
    assert_eq!(pool.in_use(), 8);
}

fn last_of_address(packet: &capsule::Mbuf) -> u8 {
    packet.peek::<Ethernet>().unwrap().dst().octets()[5]
}

fn capsule_error() -> anyhow::Error {
    anyhow::anyhow!("on purpose")
}

#[test]
fn a_pipeline_may_rewrite_but_finds_no_buffer_to_make_a_frame_of() {
    let pool = pool("rewrites");
    let mut io = Memory::default();
    io.inbox[0].push_back(frame(&pool, 9));
    let mut front = Front::new(io, Arc::default(), |_, inlet, outlet| {
        Poll::new(inlet)
            .map(|packet: capsule::Mbuf| {
                assert!(capsule::Mbuf::new().is_err() && capsule::Mbuf::alloc_bulk(3).is_err());
                let mut ethernet = packet.parse::<Ethernet>()?;
                ethernet.swap_addresses();
                Ok(ethernet)
            })
            .send(outlet)
    });
    let got = receive(&mut front, Side::Inside);
    assert_eq!((got.len(), mark(&got[0]), got[0].bytes()[11]), (1, 0, 9));
    assert_eq!(front.take_denied(Side::Inside), Denied::default());
}

#[test]
fn what_a_pipeline_keeps_is_in_the_books_and_bounded_and_may_come_later() {
    let pool = Pool::new(testing::eal(), "keeps", 511, 0, 2_048).unwrap();
    let mut io = Memory::default();
    io.inbox[0].extend((0..400).map(|number| frame(&pool, number as u8)));
    let held = Rc::new(RefCell::new(Vec::new()));
    let books = Arc::new(Books::default());
    let mut late = None;
    let mut front = Front::new(io, Arc::clone(&books), |side, inlet, outlet| {
        if side == Side::Inside {
            late = Some(outlet.clone());
        }
        Poll::new(inlet).emit(Keep(Rc::clone(&held))).send(outlet)
    });
    for _ in 0..20 {
        assert!(receive(&mut front, Side::Inside).is_empty());
    }
    let inside = books.side(Side::Inside);
    assert_eq!((inside.taken(), inside.kept()), (KEPT_MAX, KEPT_MAX));
    assert_eq!(held.borrow().len() as u64, KEPT_MAX);
    // Some go on later, a burst at a time; the rest goes with the pipeline.
    let first: Vec<_> = held.borrow_mut().drain(..100).collect();
    late.unwrap().transmit(first);
    let mut got = Vec::new();
    for _ in 0..4 {
        got.extend(receive(&mut front, Side::Inside));
    }
    assert_eq!(got.iter().map(mark).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    assert_eq!((inside.passed(), inside.denied()), (100, 0));
    drop((got, front, held));
    assert_eq!(pool.in_use(), 0);
}

/// Keeps what is emitted.
struct Keep(Rc<RefCell<Vec<capsule::Mbuf>>>);

impl PacketTx for Keep {
    fn transmit(&mut self, packets: Vec<capsule::Mbuf>) {
        self.0.borrow_mut().extend(packets);
    }
}

/// A frame of 120 bytes in two buffers, as ports that scatter deliver it.
#[allow(unsafe_code, reason = "what a driver does")]
fn chain(pool: &Pool, mark: u8) -> MbufFrame {
    let [head, tail] = [(); 2].map(|()| Mbuf::from(frame(pool, mark)).into_raw());
    // SAFETY: both are owned here; the tail is the head's from now on.
    unsafe {
        (*head.as_ptr()).next = tail.as_ptr();
        (*head.as_ptr()).nb_segs = 2;
        (*head.as_ptr()).pkt_len *= 2;
        MbufFrame::from(Mbuf::from_raw(head))
    }
}

#[test]
fn a_frame_in_several_buffers_is_one_frame_and_gives_all_of_them_back() {
    let pool = pool("chains");
    let mut io = Memory::default();
    io.inbox[0].extend((0..8).map(|number| chain(&pool, number)));
    assert_eq!(pool.in_use(), 16);
    let mut front = Front::new(io, Arc::default(), |_, inlet, outlet| {
        Poll::new(inlet)
            .filter(|packet: &capsule::Mbuf| last_of_address(packet).is_multiple_of(2))
            .send(outlet)
    });
    let got = receive(&mut front, Side::Inside);
    assert_eq!(got.iter().map(MbufFrame::wire_len).collect::<Vec<_>>(), [120; 4]);
    assert_eq!(front.take_denied(Side::Inside), Denied { frames: 4, bytes: 480 });
    assert_eq!(pool.in_use(), 8);
    drop(got);
    assert_eq!(pool.in_use(), 0);
}

/// The worker's own books, with the list of the example in front.
#[test]
fn a_worker_behind_a_list_counts_what_it_denies_and_its_books_balance() {
    let pool = pool("behind");
    let mut io = Memory::default();
    let corpus = crate::acl::tests::mixed_frames(&pool);
    let count = corpus.len() as u64;
    io.inbox[1].extend(corpus);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/acl");
    let list = load(&example.join("acl.toml")).unwrap();
    let stage = AclStage::new(list);
    let mut front = stage.put(0, io);
    // By the file, so that what else an engine may be told stays at its default.
    let (plan, _) = weir_shell::config::load(
        &example.join("weir.toml"),
        &["pacing.rule=none", "pacing.model="].map(str::to_owned),
    )
    .unwrap();
    let (samples, _) = lane(8, 8);
    let (_publisher, mut readers) = epoch(Policy::default(), 1);
    let mut models = readers.pop().unwrap();
    let mut worker = Worker::new(&plan.engine, Ns::from_secs(1), samples);
    while worker.turn(Ns::from_secs(1), &mut front, &mut models).busy {
        assert!(worker.tally().balanced(), "{:?}", worker.tally());
    }
    let (tally, _) = worker.finish();
    let report = stage.report();
    let frames = |reason: &str| report.lines.iter().find(|line| line.reason == reason).unwrap().frames;
    assert_eq!((frames("no telnet"), frames("no foreign ssh")), (1, 2));
    assert_eq!((frames("documentation, IPv4"), frames("documentation, IPv6")), (1, 1));
    assert_eq!((frames("(unreadable)"), report.denied()), (1, 6));
    assert_eq!(tally.ended[Verdict::Denied as usize], 6);
    assert_eq!(tally.received, [0, count]);
    assert_eq!(tally.sent, [count - 6, 0]);
    assert!(
        report
            .to_string()
            .contains("worker 0: inside: taken 0 = passed 0 + denied 0 + kept 0; outside: taken 8")
    );
    drop(front);
    assert_eq!(pool.in_use(), 0);
}
