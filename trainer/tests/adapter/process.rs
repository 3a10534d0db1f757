//! What a process that behaves is asked, and what becomes of what it answers.

use super::peer::{self, Peer, Request};
use super::{batch, counted, network, process};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use weir_trainer::adapter::{ROWS_MAX, Reason};
use weir_trainer::network::Network;
use weir_trainer::online::{AdaptError, AdaptReport, Adapter, Batch, Row};
use weir_trainer::onnx;

/// A peer that behaves for `lives` requests on each connection, then closes; and every request that it saw.
fn mortal(lives: usize) -> (Peer, Receiver<Request>) {
    let (seen, requests) = channel();
    let peer = Peer::start(move |stream, _| {
        let mut model = Vec::new();
        for _ in 0..lives {
            let Some(request) = peer::receive(stream) else { return };
            seen.send(request.clone()).unwrap();
            let body = peer::good(&mut model, &request);
            peer::answer(stream, &request, &body);
        }
    });
    (peer, requests)
}

fn told(request: &Request) -> Network {
    onnx::import_bytes(&peer::hello_model(request), Path::new("hello")).unwrap()
}

/// Asks until the wait after a fault is over.
fn patiently<T>(mut ask: impl FnMut() -> Result<T, AdaptError>) -> T {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if Instant::now() > end => panic!("{error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

#[test]
fn the_three_interfaces_and_the_way_back() {
    let (peer, requests) = mortal(usize::MAX);
    let mut process = process(peer.socket());
    let report = process.adapt(&batch()).unwrap();
    assert_eq!(report, AdaptReport { loss: 0.25, gradient_norm: 0.5, rows: 2, steps: 4 });
    assert_eq!(process.evaluate(&batch()).unwrap(), 0.125);
    assert_eq!(process.freeze().unwrap(), network(1.0));
    process.reset(&network(2.0)).unwrap();
    assert_eq!(process.freeze().unwrap(), network(2.0));

    let kinds: Vec<u16> = requests.try_iter().map(|request| request.kind).collect();
    assert_eq!(kinds, [peer::HELLO, peer::ADAPT, peer::EVALUATE, peer::FREEZE, peer::RESET, peer::FREEZE]);
    let watch = process.watch();
    assert_eq!((watch.is_connected(), watch.connections(), watch.answers()), (true, 1, 5));
    assert_eq!((watch.peer(), watch.last_fault()), ("scripted".to_owned(), None));
}

#[test]
fn a_new_connection_begins_with_the_network_that_was_last_good() {
    // Each connection lives for a hello and one call.
    let (peer, requests) = mortal(2);
    let mut process = process(peer.socket());
    process.adapt(&batch()).unwrap();
    assert_eq!(told(&requests.recv().unwrap()), network(1.0));
    // The process is gone, and learns of this only when it is there again.
    process.reset(&network(2.0)).unwrap();
    assert_eq!(patiently(|| process.freeze()), network(2.0));
    process.reset(&network(3.0)).unwrap();
    process.reset(&network(4.0)).unwrap();
    patiently(|| process.adapt(&batch()));
    let hellos: Vec<Network> =
        requests.try_iter().filter(|request| request.kind == peer::HELLO).map(|hello| told(&hello)).collect();
    assert_eq!(hellos, [network(2.0), network(4.0)]);
    assert!(counted(&process).iter().all(|(reason, _)| [Reason::Closed, Reason::Waiting].contains(reason)));
}

#[test]
fn a_reset_that_fails_costs_the_connection_so_that_the_next_begins_there() {
    let (seen, hellos) = channel();
    let peer = Peer::start(move |stream, _| {
        let mut model = Vec::new();
        while let Some(request) = peer::receive(stream) {
            if request.kind == peer::RESET {
                let _ = std::io::Write::write_all(
                    stream,
                    &peer::frame(peer::ERROR, request.number, &peer::error(2, "no")),
                );
                continue;
            }
            let body = peer::good(&mut model, &request);
            if request.kind == peer::HELLO {
                seen.send(request.clone()).unwrap();
            }
            peer::answer(stream, &request, &body);
        }
    });
    let mut process = process(peer.socket());
    process.adapt(&batch()).unwrap();
    process.reset(&network(2.0)).unwrap();
    assert!(!process.watch().is_connected());
    assert_eq!(patiently(|| process.freeze()), network(2.0));
    assert_eq!(hellos.try_iter().map(|hello| told(&hello)).collect::<Vec<_>>(), [network(1.0), network(2.0)]);
}

#[test]
fn a_batch_or_a_network_of_another_width_is_refused_before_anything_is_sent() {
    let (peer, requests) = mortal(usize::MAX);
    let mut process = process(peer.socket());
    assert!(matches!(process.adapt(&Batch::new(3)), Err(AdaptError::Width { expected: 2, found: 3, .. })));
    assert!(matches!(process.evaluate(&Batch::new(1)), Err(AdaptError::Width { .. })));
    let mut other = network(1.0);
    other.layers.pop();
    assert!(matches!(
        process.reset(&other),
        Err(AdaptError::Width { what: "outputs", expected: 1, found: 2 })
    ));
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn of_a_batch_that_is_too_large_the_last_rows_are_sent_and_continue_nothing() {
    let (peer, requests) = mortal(usize::MAX);
    let mut process = process(peer.socket());
    let mut large = Batch::new(2);
    for at in 0..ROWS_MAX + 10 {
        let inputs = [at as f32, 0.0];
        large.push(&Row {
            inputs: &inputs,
            action: 0.0,
            noise: 0.0,
            log_prob: 0.0,
            reward: 0.0,
            weight: 1.0,
            continues: true,
            explored: false,
            remembered: false,
        });
    }
    process.adapt(&large).unwrap();
    let body = requests.try_iter().last().unwrap().body;
    assert_eq!(body[..4], (ROWS_MAX as u32).to_le_bytes());
    // After rows, columns and the first column's head: the first input of the first row.
    assert_eq!(body[16..20], 10f32.to_le_bytes());
    let flags = &body[body.len() - ROWS_MAX..];
    assert_eq!((flags[0], flags[1]), (0, 1));
}
