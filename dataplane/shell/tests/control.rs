//! The control socket under good and bad clients.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command as Process, Output};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use weir_shell::control::Server;
use weir_shell::control::learning::{Changed, ModelsReport};
use weir_shell::control::protocol::{Body, Command, ReloadResult, Reloaded, Request};

fn serve(path: &Path) -> Server {
    let refused = |reasons| Body::Reload(Reloaded { result: ReloadResult::Refused, reasons });
    Server::start(
        path,
        Box::new(move |request: &Request| match request.command {
            Command::Reload => refused(vec!["x.toml:26:12: pacing.rate_min: no".to_owned()]),
            Command::Status => Body::Error { message: "no status here".to_owned() },
            Command::Models => {
                Body::Models(Box::new(ModelsReport { unix_seconds: 1.0, trainer: None, models: Vec::new() }))
            }
            Command::Rollback => Body::Change(Changed {
                result: ReloadResult::Refused,
                generation: Some(7),
                reasons: vec![format!("{:?} has no generation before 7", request.model)],
            }),
            Command::Freeze | Command::Resume => Body::Change(Changed {
                result: if request.command == Command::Freeze {
                    ReloadResult::Applied
                } else {
                    ReloadResult::Unchanged
                },
                generation: None,
                reasons: Vec::new(),
            }),
        }),
    )
    .unwrap()
}

fn ask(path: &Path, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The server may have answered and closed before it has read everything.
    let _ = stream.write_all(request);
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    line
}

fn ctl(arguments: &[&str]) -> Output {
    Process::new(env!("CARGO_BIN_EXE_weir")).arg("ctl").args(arguments).output().unwrap()
}

const RELOAD: &[u8] = b"{\"version\":1,\"command\":\"reload\"}\n";

#[test]
fn a_request_is_answered_in_one_line_and_a_bad_one_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.sock");
    let _server = serve(&path);
    assert_eq!(
        ask(&path, RELOAD),
        "{\"version\":1,\"answer\":\"reload\",\"result\":\"refused\",\"reasons\":[\"x.toml:26:12: pacing.rate_min: no\"]}\n"
    );
    let long = vec![b'x'; 100_000];
    for (request, said) in [
        (
            b"{\"version\":2,\"command\":\"status\"}\n".as_slice(),
            "expected version 1 of the protocol, found 2",
        ),
        (b"{\"version\":1,\"command\":\"explode\"}\n", "unknown variant `explode`"),
        (b"reload\n", "expected a request such as"),
        (b"\xff\xfe\n", "expected a request such as"),
        (b"\n", "expected a request such as"),
        (&long, "a request is one line of at most 4096 bytes"),
    ] {
        let answer = ask(&path, request);
        assert!(answer.contains("\"answer\":\"error\"") && answer.contains(said), "{answer}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
}

#[test]
fn silent_slow_and_many_clients_cost_nobody_else_more_than_a_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.sock");
    let server = serve(&path);
    let silent: Vec<UnixStream> = (0..4).map(|_| UnixStream::connect(&path).unwrap()).collect();
    // One too many is told so at once.
    let began = Instant::now();
    assert!(ask(&path, RELOAD).contains("too many connections"), "the fifth is turned away");
    assert!(began.elapsed() < Duration::from_secs(1));
    // One that drips is cut off like one that is silent.
    let mut dripping = silent[0].try_clone().unwrap();
    let dripper = std::thread::spawn(move || {
        for _ in 0..40 {
            if dripping.write_all(b" ").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    while !ask(&path, RELOAD).contains("refused") {
        assert!(began.elapsed() < Duration::from_secs(5), "the places are not given back");
        std::thread::sleep(Duration::from_millis(50));
    }
    for mut stream in silent {
        let mut said = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _ = stream.read_to_string(&mut said);
        assert!(said.contains("no whole line within 2 s"), "{said:?}");
    }
    dripper.join().unwrap();
    drop(server);
    assert!(!path.exists(), "the socket goes with its server");
}

#[test]
fn a_dead_sockets_place_is_taken_and_a_live_ones_is_not() {
    let folder = tempfile::tempdir().unwrap();
    // The folder is made where it is missing.
    let path = folder.path().join("run/weir.sock");
    std::fs::create_dir(folder.path().join("run")).unwrap();
    // A listener's file stays when it goes.
    drop(UnixListener::bind(&path).unwrap());
    let server = serve(&path);
    let refused = Server::start(&path, Box::new(|_| Body::Error { message: String::new() })).err().unwrap();
    assert!(refused.to_string().contains("another process listens at"), "{refused}");
    assert!(ask(&path, RELOAD).contains("refused"), "and was not disturbed");
    drop(server);

    std::fs::write(&path, "precious").unwrap();
    let refused = Server::start(&path, Box::new(|_| Body::Error { message: String::new() })).err().unwrap();
    assert!(refused.to_string().contains("is no socket"), "{refused}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn ctl_tells_by_its_exit_status_what_came_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.sock");
    let socket = path.to_str().unwrap();
    let missing = ctl(&["--socket", socket, "reload"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("does `weir run` run"), "{missing:?}");

    drop(UnixListener::bind(&path).unwrap());
    let dead = ctl(&["--socket", socket, "status"]);
    assert_eq!(dead.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&dead.stderr).contains("left behind"), "{dead:?}");

    let _server = serve(&path);
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "[nonsense]\n[control]\nsocket = \"weir.sock\"\n").unwrap();
    let refused = ctl(&["--config", file.to_str().unwrap(), "reload"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&refused.stderr), "x.toml:26:12: pacing.rate_min: no\n");
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "refused\n");
    let error = ctl(&["--socket", socket, "status"]);
    assert_eq!(error.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&error.stderr).contains("no status here"), "{error:?}");
}

#[test]
fn models_are_shown_taken_back_frozen_and_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.sock");
    let socket = path.to_str().unwrap();
    let _server = serve(&path);
    assert_eq!(
        ask(&path, b"{\"version\":1,\"command\":\"rollback\",\"model\":\"aurora\"}\n"),
        "{\"version\":1,\"answer\":\"change\",\"result\":\"refused\",\"generation\":7,\"reasons\":[\"Some(\\\"aurora\\\") has \
         no generation before 7\"]}\n"
    );
    let shown = |arguments: &[&str]| {
        let output = ctl(&[&["--socket", socket], arguments].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = shown(&["rollback"]);
    assert_eq!((code, out.as_str()), (Some(1), "refused: generation 7 is active\n"));
    assert_eq!(err, "None has no generation before 7\n");
    assert_eq!(shown(&["freeze", "aurora"]), (Some(0), "applied\n".to_owned(), String::new()));
    assert_eq!(shown(&["resume"]), (Some(0), "unchanged\n".to_owned(), String::new()));
    let (code, out, _) = shown(&["models"]);
    assert_eq!(code, Some(0));
    assert_eq!(out, "trainer    none: nothing learns\n\nno model: the rule decides\n");
    let (_, json, _) = shown(&["models", "--json"]);
    assert_eq!(
        json,
        "{\"version\":1,\"answer\":\"models\",\"unix_seconds\":1.0,\"trainer\":null,\"models\":[]}\n"
    );
}

#[test]
fn a_server_that_says_nothing_sensible_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (done, stop) = mpsc::channel();
    let server = std::thread::spawn(move || {
        for said in ["hello\n", "", "{\"version\":1"] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(said.as_bytes());
        }
        stop.recv().unwrap();
    });
    for _ in 0..3 {
        let said = ctl(&["--socket", path.to_str().unwrap(), "status", "--json"]);
        assert_eq!(said.status.code(), Some(2), "{said:?}");
    }
    done.send(()).unwrap();
    server.join().unwrap();
}
