//! A process that is absent, slow, hung, dead or lying: each is counted under its reason, within the deadline, and the
//! next connection works.

use super::peer::{self, Peer, Request};
use super::{DEADLINE, batch, counted, network, options, process, subject};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use weir_trainer::adapter::{AdapterProcess, MODEL_BYTES_MAX, Options, Reason};
use weir_trainer::online::{AdaptError, Adapter};
use weir_trainer::onnx;
use weir_trainer::rng::Rng;

/// One way to answer the first request of `kind` badly; whether the script goes on with the connection afterwards.
type Bad = Box<dyn Fn(&mut UnixStream, &Request) -> bool + Send>;

/// A peer that behaves, but on its first connection treats the first request of `kind` as `bad` says.
fn misbehaving(kind: u16, bad: Bad) -> Peer {
    Peer::start(move |stream, connection| {
        let mut model = Vec::new();
        let mut spent = connection > 0;
        while let Some(request) = peer::receive(stream) {
            if request.kind == kind && !spent {
                spent = true;
                if !bad(stream, &request) {
                    return;
                }
                continue;
            }
            let body = peer::good(&mut model, &request);
            peer::answer(stream, &request, &body);
        }
    })
}

fn call(process: &mut AdapterProcess, kind: u16) -> Result<(), AdaptError> {
    match kind {
        peer::EVALUATE => process.evaluate(&batch()).map(|_| ()),
        peer::FREEZE => process.freeze().map(|_| ()),
        _ => process.adapt(&batch()).map(|_| ()),
    }
}

/// Expects `reason`, in time, and after it a process that is of use again, on the same connection or on a new one.
fn expect(name: &str, kind: u16, reason: Reason, same_connection: bool, bad: Bad) {
    let peer = misbehaving(kind, bad);
    let mut process = process(peer.socket());
    let asked = Instant::now();
    let error = call(&mut process, kind).expect_err(name);
    assert!(asked.elapsed() < DEADLINE + Duration::from_secs(1), "{name}: {:?}", asked.elapsed());
    assert!(matches!(error, AdaptError::Process(_)) && !error.to_string().contains('\n'), "{name}: {error}");
    assert_eq!(counted(&process), [(reason, 1)], "{name}: {error}");
    assert_eq!(process.watch().is_connected(), same_connection, "{name}");
    let shown = process.watch().last_fault().unwrap();
    assert!(error.to_string().ends_with(&shown), "{name}: {shown}");

    std::thread::sleep(Duration::from_millis(5));
    call(&mut process, kind).unwrap_or_else(|error| panic!("{name}: the second call: {error}"));
    assert_eq!(
        process.watch().connections(),
        1 + u64::from(!same_connection && kind != peer::HELLO),
        "{name}"
    );
}

fn bytes(reply: Vec<u8>) -> Bad {
    Box::new(move |stream, _| stream.write_all(&reply).is_ok())
}

fn body(reply: Vec<u8>) -> Bad {
    Box::new(move |stream, request| {
        peer::answer(stream, request, &reply);
        true
    })
}

fn refusal(code: u16) -> Bad {
    Box::new(move |stream, request| {
        let reply = peer::error(code, "because\nof this");
        stream.write_all(&peer::frame(peer::ERROR, request.number, &reply)).is_ok()
    })
}

#[test]
fn hung_slow_and_dead() {
    // Answers come after the deadline, or never to an end.
    let hang: fn(&mut UnixStream, &Request) -> bool = |stream, request| {
        std::thread::sleep(DEADLINE + Duration::from_millis(50));
        // Nobody waits for this any more; it must not be taken for the answer to a later call.
        peer::answer(stream, request, &f64::MAX.to_le_bytes());
        false
    };
    let drip: fn(&mut UnixStream, &Request) -> bool = |stream, request| {
        for byte in peer::frame(request.kind | 0x8000, request.number, &[0; 8]) {
            std::thread::sleep(Duration::from_millis(40));
            if stream.write_all(&[byte]).is_err() {
                break;
            }
        }
        false
    };
    let half: fn(&mut UnixStream, &Request) -> bool = |stream, request| {
        let whole = peer::frame(request.kind | 0x8000, request.number, &[0; 8]);
        let _ = stream.write_all(&whole[..15]);
        false
    };
    for kind in [peer::HELLO, peer::EVALUATE, peer::ADAPT, peer::FREEZE] {
        expect("hangs", kind, Reason::Late, false, Box::new(hang));
        expect("dies", kind, Reason::Closed, false, Box::new(|_, _| false));
    }
    expect("drips", peer::EVALUATE, Reason::Late, false, Box::new(drip));
    expect("dies in an answer", peer::EVALUATE, Reason::Closed, false, Box::new(half));
}

#[test]
fn lies_about_frames() {
    let number = 2u32;
    let framed = |kind: u16, number: u32, body: &[u8]| bytes(peer::frame(kind, number, body));
    let evaluated = peer::EVALUATE | 0x8000;
    let mut marked = peer::frame(evaluated, number, &[0; 8]);
    marked[6] = 1;
    let mut giant = peer::frame(evaluated, number, &[0; 8]);
    giant[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    for (name, bad) in [
        ("noise", bytes((0..200).map(|at| (at * 37 % 251) as u8).collect())),
        ("text", bytes(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())),
        ("marked", bytes(marked)),
        ("giant", bytes(giant)),
        ("kind of another answer", framed(peer::ADAPT | 0x8000, number, &[0; 8])),
        ("a request", framed(peer::EVALUATE, number, &[0; 8])),
        ("an earlier number", framed(evaluated, number - 1, &[0; 8])),
        ("number zero", framed(evaluated, 0, &[0; 8])),
        ("short", framed(evaluated, number, &[0; 7])),
        ("long", framed(evaluated, number, &[0; 9])),
        ("empty", framed(evaluated, number, &[])),
        ("unknown error", refusal(77)),
        ("cut error", framed(peer::ERROR, number, &[2, 0, 9, 0, b'x'])),
        ("empty error", framed(peer::ERROR, number, &[])),
    ] {
        expect(name, peer::EVALUATE, Reason::Protocol, false, bad);
    }
    expect("short", peer::ADAPT, Reason::Protocol, false, body(vec![0; 23]));
    expect(
        "a model larger than any",
        peer::FREEZE,
        Reason::Protocol,
        false,
        body(vec![0; MODEL_BYTES_MAX + 1]),
    );
    expect("hello without a name", peer::HELLO, Reason::Protocol, false, body(vec![1, 0, 0, 0]));
    let other = [&2u32.to_le_bytes()[..], &peer::text("from the future")].concat();
    expect("hello of another version", peer::HELLO, Reason::Unsuitable, false, body(other));
}

#[test]
fn lies_about_numbers_and_models() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        expect("value", peer::EVALUATE, Reason::Value, true, body(value.to_le_bytes().to_vec()));
        expect("loss", peer::ADAPT, Reason::Value, true, body(peer::adapted(1, value)));
    }
    expect("more rows than there were", peer::ADAPT, Reason::Value, true, body(peer::adapted(4, 0.0)));

    let network = network(1.0);
    let good = onnx::export(&network, "x");
    let mut wide = network.clone();
    wide.layers[0].inputs = 3;
    wide.layers[0].weights.extend([0.0; 2]);
    let mut infinite = network.clone();
    infinite.layers[0].bias[0] = f64::INFINITY;
    for (name, reason, model) in [
        ("nothing", Reason::Model, Vec::new()),
        ("noise", Reason::Model, vec![0xa5; 300]),
        ("half a model", Reason::Model, good[..good.len() / 2].to_vec()),
        ("an operator outside the set", Reason::Model, replaced(&good, b"Tanh", b"Sinh")),
        ("weights that are no numbers", Reason::Model, onnx::export(&infinite, "x")),
        ("more inputs", Reason::Shape, onnx::export(&wide, "x")),
    ] {
        expect(name, peer::FREEZE, reason, true, body(model));
    }
}

fn replaced(bytes: &[u8], from: &[u8; 4], to: &[u8; 4]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let starts: Vec<usize> = (0..bytes.len() - 3).filter(|&at| bytes[at..at + 4] == from[..]).collect();
    assert!(!starts.is_empty());
    starts.iter().for_each(|&at| bytes[at..at + 4].copy_from_slice(to));
    bytes
}

#[test]
fn says_no() {
    expect("failed", peer::ADAPT, Reason::Failed, true, refusal(2));
    expect("busy", peer::HELLO, Reason::Busy, false, refusal(3));
    expect("unsuitable", peer::HELLO, Reason::Unsuitable, false, refusal(1));
    expect("failed in its hello", peer::HELLO, Reason::Failed, false, refusal(2));
    // Said of the connection as a whole, before anything was read of it.
    let peer = Peer::start(|stream, connection| match connection {
        0 => stream.write_all(&peer::frame(peer::ERROR, 0, &peer::error(3, "full"))).unwrap(),
        _ => peer::serve_well(stream),
    });
    let mut process = process(peer.socket());
    process.adapt(&batch()).unwrap_err();
    assert_eq!(counted(&process), [(Reason::Busy, 1)]);
}

#[test]
fn nobody_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "no socket").unwrap();
    let long = folder.path().join("x".repeat(200));
    for path in [folder.path().join("missing"), file, long] {
        let mut process = process(&path);
        process.freeze().unwrap_err();
        assert_eq!(counted(&process), [(Reason::Absent, 1)], "{}", path.display());
        // It asks again only after the wait.
        process.freeze().unwrap_err();
        assert_eq!(counted(&process).last(), Some(&(Reason::Waiting, 1)));
    }
}

#[test]
fn a_stopped_process_whose_queue_is_full_keeps_nobody_waiting() {
    use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
    use std::os::fd::AsRawFd as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stopped.sock");
    let stopped = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(stopped.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&stopped, Backlog::new(0).unwrap()).unwrap();
    let _first = UnixStream::connect(&path).unwrap();
    let mut process = process(&path);
    let asked = Instant::now();
    process.freeze().unwrap_err();
    assert_eq!(counted(&process), [(Reason::Busy, 1)]);
    assert!(asked.elapsed() < DEADLINE / 2);
}

/// Whatever bytes come back, the caller gets an answer that holds what was promised, or a counted fault.
#[test]
fn any_bytes_at_all() {
    const ROUNDS: u64 = 600;
    let peer = Peer::start(|stream, connection| {
        let mut rng = Rng::new(connection as u64);
        let mut model = Vec::new();
        while let Some(request) = peer::receive(stream) {
            let body = peer::good(&mut model, &request);
            let good = peer::frame(request.kind | 0x8000, request.number, &body);
            let mut reply = good.clone();
            if request.kind != peer::HELLO || connection % 4 == 0 {
                for _ in 0..rng.below(4) {
                    let at = rng.below(reply.len());
                    reply[at] = rng.bits() as u8;
                }
                reply.truncate(reply.len() - rng.below(2) * rng.below(reply.len()));
            }
            // What is too short would only be waited for: the connection ends.
            if stream.write_all(&reply).is_err() || reply != good {
                return;
            }
        }
    });
    let options = Options { wait_min: Duration::ZERO, wait_max: Duration::ZERO, ..options(peer.socket()) };
    let mut process = AdapterProcess::new(options, subject(), network(1.0));
    let (mut good, mut bad) = (0, 0);
    for round in 0..ROUNDS {
        let kind = [peer::ADAPT, peer::EVALUATE, peer::FREEZE][(round % 3) as usize];
        match call(&mut process, kind) {
            Ok(()) => good += 1,
            Err(AdaptError::Process(_)) => bad += 1,
            Err(other) => panic!("{other}"),
        }
    }
    let watch = process.watch();
    assert_eq!((good + bad, watch.answers()), (ROUNDS, good));
    assert_eq!(watch.faults().map(|(_, count)| count).sum::<u64>(), bad);
    assert!(good > 50 && counted(&process).len() >= 4, "{good} {:?}", counted(&process));
}
