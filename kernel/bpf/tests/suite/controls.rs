//! The congestion controls on the running kernel, over its loopback.

use crate::models::Rng;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::socket::{setsockopt, sockopt::TcpCongestion};
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use weir_bpf::{Bpf, BpfError, Congestion, Rates};
use weir_features::PacingSpec;
use weir_snapshot::{Function, Output, Parts, Precision, Snapshot, encode};

const RATES: Rates = Rates { start_bps: 200_000_000, min_bps: 100_000_000, max_bps: 1_000_000_000 };
/// Of a flow: at the rates above more than a second.
const BYTES: usize = 32 << 20;

/// A BPF file system of the test's own. The kernel's list of congestion controls is everybody's: one test at a time.
struct Place {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    fn new(test: &str) -> Option<(Place, Bpf)> {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        if mount(Some("bpf"), folder.path(), Some("bpf"), MsFlags::empty(), None::<&str>).is_err() {
            crate::skipped(test, &BpfError::NotPermitted);
            return None;
        }
        let bpf = Bpf::new(folder.path());
        Some((Place { folder, _alone: alone }, bpf))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // With it goes what was attached.
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}

/// A pacing network of Aurora's shape.
fn network(seed: u64) -> Snapshot {
    let shape = crate::models::Shape {
        precision: if seed.is_multiple_of(2) { Precision::Bits8 } else { Precision::Bits12 },
        output: Output::Linear,
        widths: vec![30, 32, 16, 1],
        seed,
    };
    let parts = Parts { function: Function::Pacing, name: format!("random-{seed}"), ..shape.parts() };
    Snapshot::decode(&encode(&parts).expect("valid parts")).expect("decodes")
}

fn is_available(name: &str) -> bool {
    let all = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control").expect("Linux");
    all.split_whitespace().any(|one| one == name)
}

/// Sends over loopback under a congestion control, and does `meanwhile` until all has arrived. Every byte is compared.
fn transfer(address: &str, congestion: Congestion, mut meanwhile: impl FnMut()) {
    let listener = TcpListener::bind((address, 0)).expect("a port");
    let target = listener.local_addr().expect("an address");
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(target).expect("connects");
        setsockopt(&stream, TcpCongestion, &OsString::from(congestion.name())).expect("the kernel has it");
        let mut rng = Rng(7);
        for _ in 0..BYTES / 65_536 {
            let block: Vec<u8> = (0..8_192).flat_map(|_| rng.next().to_ne_bytes()).collect();
            stream.write_all(&block).expect("sends");
        }
    });
    let (mut stream, _) = listener.accept().expect("a connection");
    let receiver = std::thread::spawn(move || {
        let (mut rng, mut block, mut received) = (Rng(7), vec![0; 65_536], 0);
        while received < BYTES {
            stream.read_exact(&mut block).expect("arrives");
            let meant: Vec<u8> = (0..8_192).flat_map(|_| rng.next().to_ne_bytes()).collect();
            assert!(block == meant, "bytes {received} and on");
            received += block.len();
        }
    });
    while !receiver.is_finished() {
        meanwhile();
    }
    sender.join().expect("the sender");
    receiver.join().expect("the receiver");
}

#[test]
fn yield_comes_goes_and_carries_both_ip_versions() {
    let Some((_place, bpf)) = Place::new("weir_yield") else { return };
    assert!(matches!(bpf.detach(Congestion::Yield), Err(BpfError::NotAttached("weir_yield"))));
    bpf.attach_yield().expect("attaches");
    assert!(is_available("weir_yield") && bpf.is_attached(Congestion::Yield));
    assert!(matches!(bpf.attach_yield(), Err(BpfError::Attached("weir_yield"))));
    for address in ["127.0.0.1", "::1"] {
        transfer(address, Congestion::Yield, || std::thread::sleep(std::time::Duration::from_millis(1)));
    }
    bpf.detach(Congestion::Yield).expect("detaches");
    assert!(!is_available("weir_yield") && !bpf.is_attached(Congestion::Yield));
}

#[test]
fn aurora_swaps_networks_under_flows_of_both_ip_versions() {
    let Some((_place, bpf)) = Place::new("weir_aurora") else { return };
    let spec = PacingSpec::default();
    let networks: Vec<Snapshot> = (0..4).map(network).collect();
    assert!(matches!(bpf.swap(&networks[0], &spec), Err(BpfError::NotAttached("weir_aurora"))));
    bpf.attach_aurora(&networks[0], &spec, RATES).expect("attaches");
    assert!(is_available("weir_aurora"));
    assert_eq!(bpf.aurora().expect("attached").rates, RATES);
    let mut swapper = bpf.swapper().expect("attached");
    let mut generation = 1;
    for address in ["127.0.0.1", "::1"] {
        let before = (generation, bpf.aurora().expect("attached").stats.decisions);
        transfer(address, Congestion::Aurora, || {
            generation = swapper.swap(&networks[generation as usize % 4], &spec).expect("swaps");
        });
        let status = bpf.aurora().expect("attached");
        assert!(generation > before.0 + 10 && status.stats.decisions > before.1 + 10, "{status:?}");
        let live = &networks[(generation as usize - 1) % 4];
        assert_eq!((status.network.generation, status.network.checksum), (generation, live.checksum()));
        assert_eq!((status.network.name.as_str(), status.stats.refused), (live.name(), 0));
    }
    bpf.detach(Congestion::Aurora).expect("detaches");
    assert!(!is_available("weir_aurora"));
}

#[test]
fn what_cannot_run_changes_nothing() {
    let Some((place, bpf)) = Place::new("refusals") else { return };
    let spec = PacingSpec::default();
    let other = |widths: Vec<usize>, function| {
        let shape =
            crate::models::Shape { precision: Precision::Bits8, output: Output::Linear, widths, seed: 1 };
        let parts = Parts { function, ..shape.parts() };
        Snapshot::decode(&encode(&parts).expect("valid parts")).expect("decodes")
    };
    let balance = other(vec![30, 1], Function::Balance);
    let narrow = other(vec![29, 1], Function::Pacing);
    assert!(matches!(bpf.attach_aurora(&balance, &spec, RATES), Err(BpfError::NotPacing { .. })));
    assert!(matches!(bpf.attach_aurora(&narrow, &spec, RATES), Err(BpfError::Shape { inputs: 29, .. })));
    assert!(!is_available("weir_aurora"));
    bpf.attach_aurora(&network(0), &spec, RATES).expect("attaches");
    let before = bpf.aurora().expect("attached").network;
    assert!(matches!(bpf.swap(&balance, &spec), Err(BpfError::NotPacing { .. })));
    assert_eq!(bpf.aurora().expect("attached").network, before);
    bpf.detach(Congestion::Aurora).expect("detaches");
    // A folder that is no BPF file system.
    let nowhere = Bpf::new(Path::new("/nonexistent"));
    let error = nowhere.attach_yield().expect_err("nothing is mounted there").to_string();
    assert_eq!(error, "no BPF file system at /nonexistent: mount -t bpf bpf /nonexistent");
    let left = std::fs::read_dir(place.folder.path()).expect("mounted").flatten().collect::<Vec<_>>();
    // The kernel's own two files.
    assert!(left.iter().all(|entry| entry.file_name() != "weir"), "{left:?}");
}
