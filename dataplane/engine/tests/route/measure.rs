//! Which share of a path's frames arrives, as both its ends have counted.

use super::fleet::{Fleet, scattered};
use super::frames::{CLIENT, Station, WEIR_INSIDE, WEIR_OUTSIDE, finish, ip4};
use super::pair::{Bottleneck, FAR, Kind, Pair, config, extension};
use weir_engine::balance::{PathRule, PathStats};
use weir_engine::io::Side;
use weir_engine::time::Ns;

const MACS: ([u8; 6], [u8; 6]) = ([0; 6], [0; 6]);

fn datagram(flow: u16) -> Vec<u8> {
    finish(ip4(MACS, CLIENT.v4, FAR.v4, 64).udp(10_000 + flow, 5_000), &[0x5a; 500])
}

/// Some hundred frames, then as much time as some probes need.
fn send(pair: &mut Pair, rounds: u16) {
    for round in 0..rounds {
        (0..8).for_each(|flow| pair.ends[0].offer(datagram(8 * (round % 4) + flow)));
        pair.run_for(Ns::from_micros(500));
    }
    pair.run_for(Ns::from_millis(50));
}

#[test]
fn a_tunnel_that_loses_nothing_is_seen_to_lose_nothing() {
    for kind in [Kind::IpIp, Kind::IpIpOverV6, Kind::Vxlan, Kind::VxlanOverV6] {
        let mut pair = Pair::met(&[kind], PathRule::Maglev);
        send(&mut pair, 100);
        let PathStats { measured, lost, unmeasured, measure_refused, .. } = pair.ends[0].path(0);
        assert!((800..900).contains(&measured), "{kind:?}: {measured}, probes and answers to them included");
        assert_eq!((lost, unmeasured, measure_refused), (0, 0, 0), "{kind:?}");
    }
}

#[test]
fn of_a_next_hop_nothing_is_counted() {
    for kind in [Kind::Bare, Kind::Vlan] {
        let mut pair = Pair::met(&[kind], PathRule::Maglev);
        send(&mut pair, 20);
        let path = pair.ends[0].path(0);
        assert_eq!((path.measured, path.lost, path.measure_refused), (0, 0, 0), "{kind:?}");
        assert!(path.unmeasured == path.answers && path.answers > 10, "{kind:?}: {path:?}");
    }
}

#[test]
fn what_is_lost_is_counted_frame_by_frame() {
    for permille in [10, 250] {
        let mut pair = Pair::met(&[Kind::IpIp], PathRule::Maglev);
        pair.narrow = vec![Some(Bottleneck::new(1_000, 1 << 20).losing(permille))];
        send(&mut pair, 1_000);
        let link = pair.narrow[0].as_mut().unwrap();
        let drawn = std::mem::take(&mut link.drawn);
        link.loss_permille = 0;
        pair.run_for(Ns::from_millis(50));
        let PathStats { measured, lost, measure_refused, .. } = pair.ends[0].path(0);
        // The draw may have met a question for a neighbour, which has no header.
        assert!(lost.abs_diff(drawn) <= 1 && measure_refused == 0, "{lost} of {drawn}");
        assert!((lost * 1_000).abs_diff(permille * measured) < 3 * measured, "{lost} of {measured}");
    }
}

/// What somebody does to an answer's extension, and whether it is refused; else it is taken for one that does not know it.
type Hostility = (fn(&mut Vec<u8>, u32) -> bool, bool);

fn twist(frame: &mut [u8], change: impl FnOnce(&mut [u8])) -> bool {
    if let Some(extension) = extension(frame).filter(|extension| extension.len() == 16) {
        change(extension);
    }
    true
}

#[test]
fn what_a_hostile_answer_says_is_refused_and_harms_nothing() {
    let hostile: [Hostility; 7] = [
        // The other end has received: nothing ever; everything ever; what it likes; less each time.
        (|frame, _| twist(frame, |told| told[8..12].fill(0)), true),
        (|frame, _| twist(frame, |told| told[8..12].fill(0xff)), true),
        (|frame, nth| twist(frame, |told| told[8..12].copy_from_slice(&(nth << 20).to_be_bytes())), true),
        (
            |frame, nth| twist(frame, |told| told[8..12].copy_from_slice(&(1_000_000 - nth).to_be_bytes())),
            true,
        ),
        // It was told of other frames.
        (|frame, _| twist(frame, |told| told[7] ^= 1), true),
        // It has not understood, or no extension follows.
        (|frame, _| twist(frame, |told| told[0] = 0x80), false),
        (|frame, _| twist(frame, |told| told[3] = 200), false),
    ];
    for (at, (change, refused)) in hostile.into_iter().enumerate() {
        let mut pair = Pair::met(&[Kind::IpIp], PathRule::Maglev);
        send(&mut pair, 20);
        let before = pair.ends[0].path(0);
        pair.twist = change;
        send(&mut pair, 400);
        let after = pair.ends[0].path(0);
        let told = [after.measure_refused - before.measure_refused, after.unmeasured - before.unmeasured];
        assert!(told[usize::from(!refused)] > 10, "{at}: {told:?}");
        assert_eq!((told[usize::from(refused)], after.lost, after.up), (0, 0, 1), "{at}");
        assert!(after.answers > before.answers + 10, "{at}: its round trip counts all the same");
        // Once answers are true again they count: what happened meanwhile is known from the totals, or forgotten.
        pair.twist = |_, _| true;
        send(&mut pair, 100);
        let then = pair.ends[0].path(0);
        assert!(then.measured >= after.measured + 400 && then.lost == 0, "{at}: {then:?}");
    }
}

#[test]
fn a_reflector_of_test_packets_only_is_no_measure() {
    let mut pair = Pair::met(&[Kind::IpIp], PathRule::Maglev);
    pair.twist = |frame, nth| twist(frame, |told| told[8..12].copy_from_slice(&nth.to_be_bytes()));
    send(&mut pair, 400);
    let path = pair.ends[0].path(0);
    assert!(path.measure_refused > 10 && path.lost * 50 < path.frames, "{path:?}");
}

#[test]
fn one_that_knows_no_extension_answers_as_before() {
    let mut pair = Pair::met(&[Kind::IpIp], PathRule::Maglev);
    // 44 bytes come back: lengths of both IP headers and of UDP follow.
    pair.twist = |frame, _| {
        if let Some(extension) = extension(frame).map(|extension| extension.len()).filter(|len| *len == 16) {
            for at in [16, 36, 58] {
                let len = u16::from_be_bytes([frame[at], frame[at + 1]]) - extension as u16;
                frame[at..at + 2].copy_from_slice(&len.to_be_bytes());
            }
            for header in [14, 34] {
                frame[header + 10..header + 12].fill(0);
                let sum = frame[header..header + 20]
                    .chunks_exact(2)
                    .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                    .sum::<u32>();
                let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
                frame[header + 10..header + 12].copy_from_slice(&sum.to_be_bytes());
            }
            frame.truncate(frame.len() - extension);
        }
        true
    };
    let before = pair.ends[0].path(0);
    send(&mut pair, 100);
    let after = pair.ends[0].path(0);
    assert!(after.answers >= before.answers + 5 && after.up == 1, "{after:?}");
    assert_eq!(after.unmeasured - before.unmeasured, after.answers - before.answers);
    assert_eq!((after.lost, after.measure_refused), (0, 0));
}

/// An end's outside station, as its neighbour sees it.
fn neighbour(end: u8) -> Station {
    Station { mac: [2, 0, 0, 0, end, 2], v4: [10, 9, 1, end], v6: [0xfe; 16] }
}

/// What a test packet in a tunnel of IPv4 in IPv4 says: of a question the frames sent, of an answer those received.
fn said(frame: &[u8]) -> Option<u32> {
    let udp = 14 + 20 + 20;
    let port = |at: usize| u16::from_be_bytes([frame[udp + at], frame[udp + at + 1]]);
    if frame.len() != udp + 8 + 60 || frame[23] != 4 {
        return None;
    }
    let value = &frame[udp + 8 + 44 + 4..];
    let at = match (port(0), port(2)) {
        (_, 862) => 0,
        (862, _) => 4,
        _ => return None,
    };
    Some(u32::from_be_bytes([value[at], value[at + 1], value[at + 2], value[at + 3]]))
}

#[test]
fn the_workers_of_an_end_count_a_path_together() {
    const WORKERS: usize = 3;
    let tunnel = |frame: &&Vec<u8>| frame[12..14] == [8, 0] && frame[23] == 4;
    // A fleet's ports have these addresses.
    let of_end = |own| {
        let mut config = config(&[Kind::IpIp], own);
        for (side, own) in config.route.as_mut().unwrap().sides.iter_mut().zip([WEIR_INSIDE, WEIR_OUTSIDE]) {
            side.mac = own.mac;
        }
        config
    };
    let mut sender = Fleet::new(&of_end(1), WORKERS, scattered);
    sender.attach(Side::Inside, CLIENT);
    sender.attach(Side::Outside, neighbour(2));
    sender.run_for(Ns::from_millis(30));
    for round in 0..200_u16 {
        for flow in 0..6 {
            let mut frame = finish(
                ip4((CLIENT.mac, WEIR_INSIDE.mac), CLIENT.v4, FAR.v4, 64)
                    .udp(10_000 + round * 6 + flow, 5_000),
                &[7; 100],
            );
            frame.reserve(128);
            sender.arrive(Side::Inside, frame);
        }
        sender.run_for(Ns::from_micros(200));
    }
    sender.run_for(Ns::from_millis(30));
    let sent: Vec<Vec<u8>> = sender.left[1].iter().filter(tunnel).cloned().collect();
    assert!(sent.len() > 1_200, "{}", sent.len());
    // Each worker's question tells of what all have sent, but for what another sends in the same turn.
    let mut questions = 0;
    for (before, frame) in sent.iter().enumerate() {
        if let Some(said) = said(frame) {
            questions += 1;
            assert!((said as usize).abs_diff(before + 1) <= 8, "{said}, and {before} frames had left");
        }
    }
    assert!(questions >= 3 * WORKERS, "{questions}");

    let mut receiver = Fleet::new(&of_end(2), WORKERS, scattered);
    receiver.attach(Side::Inside, FAR);
    receiver.attach(Side::Outside, neighbour(1));
    receiver.run_for(Ns::from_millis(30));
    receiver.left[1].clear();
    let mut answers = 0;
    for (before, frame) in sent.iter().enumerate() {
        let mut arrives = frame.clone();
        arrives.reserve(128);
        arrives[..6].copy_from_slice(&WEIR_OUTSIDE.mac);
        arrives[6..12].copy_from_slice(&neighbour(1).mac);
        receiver.arrive(Side::Outside, arrives);
        receiver.run_for(Ns::from_micros(10));
        let asked = said(frame).is_some();
        for answer in std::mem::take(&mut receiver.left[1]) {
            let udp = 14 + 20 + 20;
            let is_answer = answer.len() > udp + 2 && answer[udp..udp + 2] == 862_u16.to_be_bytes();
            if let Some(said) = said(&answer).filter(|_| is_answer) {
                assert!(asked, "an answer to nobody");
                answers += 1;
                assert_eq!(said as usize, before + 1);
            }
        }
    }
    assert_eq!(answers, questions);
}
