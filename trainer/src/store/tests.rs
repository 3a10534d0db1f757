use super::*;
use crate::network::{Activation, Layer, Output};
use crate::quantise::{InputMap, QuantiseOptions, quantise};
use crate::rng::Rng;
use tempfile::TempDir;
use weir_snapshot::{Function, Precision};

const EXPECTED: Expected = Expected { function: Function::Pacing, schema_hash: 7, inputs: 2, outputs: 1 };

/// A network whose one weight tells it apart, and its snapshot.
fn made(weight: f64, schema_hash: u64) -> (Network, Vec<u8>) {
    let layer = |inputs, outputs, activation| Layer {
        inputs,
        outputs,
        weights: vec![weight; inputs * outputs],
        bias: vec![0.25; outputs],
        activation,
    };
    let layers = vec![layer(2, 3, Activation::Tanh), layer(3, 1, Activation::Identity)];
    let network = Network { layers, output: Output::Linear };
    let inputs = vec![InputMap { scale: 1.0, offset: 0.0, clip: [-1.0, 1.0] }; 2];
    let options = QuantiseOptions {
        name: "store",
        function: Function::Pacing,
        precision: Precision::Bits8,
        schema_hash,
        inputs: &inputs,
        reference: &[0.0, 0.0],
        calibration: &[],
        rows: &[],
    };
    let bytes = quantise(&network, &options).unwrap();
    (network, bytes)
}

fn save(store: &Store, generation: u32) -> (Network, Vec<u8>) {
    let (network, bytes) = made(f64::from(generation) / 16.0, EXPECTED.schema_hash);
    let figures = BTreeMap::from([("fidelity_loss".to_owned(), 0.1), ("none".to_owned(), f64::NAN)]);
    let record = Record {
        generation,
        unix_seconds: 1_700_000_000,
        snapshot: &bytes,
        network: &network,
        reason: Reason::RolledBack { to: 1 },
        configured: 7,
        figures: &figures,
    };
    store.save(&record).unwrap();
    (network, bytes)
}

fn numbers(loaded: &Loaded) -> Vec<u32> {
    loaded.generations.iter().map(|stored| stored.manifest.generation).collect()
}

#[test]
fn what_was_saved_is_found_again_newest_first_and_the_oldest_go() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 3).unwrap();
    assert_eq!(store.load(&EXPECTED).unwrap().highest, 0);
    let all: Vec<_> = (1..=5).map(|generation| save(&store, generation)).collect();
    drop(store);

    let loaded = Store::open(folder.path(), 3).unwrap().load(&EXPECTED).unwrap();
    assert_eq!((numbers(&loaded), loaded.highest), (vec![5, 4, 3], 5));
    assert!(loaded.skipped.is_empty());
    let newest = &loaded.generations[0];
    // Weights of sixteenths are exact in the file's f32.
    assert_eq!((&newest.network, &newest.bytes), (&all[4].0, &all[4].1));
    assert_eq!((newest.manifest.reason, newest.manifest.configured), (Reason::RolledBack { to: 1 }, 7));
    assert_eq!(newest.manifest.figures, BTreeMap::from([("fidelity_loss".to_owned(), 0.1)]));
    assert_eq!(newest.manifest.unix_seconds, 1_700_000_000);
}

#[test]
fn a_number_is_given_once_and_no_bytes_that_do_not_decode_are_kept() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 3).unwrap();
    let (network, bytes) = save(&store, 4);
    let figures = BTreeMap::new();
    let record = Record {
        generation: 4,
        unix_seconds: 0,
        snapshot: &bytes,
        network: &network,
        reason: Reason::Adapted,
        configured: 7,
        figures: &figures,
    };
    assert!(matches!(store.save(&record), Err(StoreError::Invalid { generation: 4, .. })));
    let torn = Record { generation: 5, snapshot: &bytes[1..], ..record };
    assert!(matches!(store.save(&torn), Err(StoreError::Invalid { generation: 5, .. })));
    assert_eq!(numbers(&store.load(&EXPECTED).unwrap()), [4]);
}

#[test]
fn a_torn_or_changed_file_is_skipped_and_the_one_before_is_found() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 2).unwrap();
    save(&store, 1);
    save(&store, 2);
    let mut rng = Rng::new(1);
    for name in [SNAPSHOT, NETWORK, MANIFEST] {
        let path = store.place(2).join(name);
        let whole = fs::read(&path).unwrap();
        let mut damaged: Vec<Vec<u8>> = vec![Vec::new(), whole[..whole.len() - 1].to_vec()];
        damaged.extend((0..40).map(|_| whole[..rng.below(whole.len())].to_vec()));
        damaged.extend((0..80).map(|_| {
            let mut bytes = whole.clone();
            bytes[rng.below(whole.len())] ^= 1 << rng.below(8);
            bytes
        }));
        // What a file system leaves when it kept the length and lost the data.
        damaged.push(vec![0; whole.len()]);
        for bytes in damaged {
            fs::write(&path, &bytes).unwrap();
            let loaded = store.load(&EXPECTED).unwrap();
            assert_eq!((numbers(&loaded), loaded.highest), (vec![1], 2), "{name} of {} bytes", bytes.len());
            assert_eq!(loaded.skipped[0].folder, store.place(2));
            let said = loaded.skipped[0].fault.to_string();
            assert!(said.contains(name) && !said.contains('\n'), "{said}");
        }
        fs::remove_file(&path).unwrap();
        let fault = store.load(&EXPECTED).unwrap().skipped.remove(0).fault;
        assert!(matches!(fault, Fault::Unreadable { file, .. } if file == name), "{fault}");
        fs::create_dir(&path).unwrap();
        assert_eq!(numbers(&store.load(&EXPECTED).unwrap()), [1], "a folder in the place of {name}");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(numbers(&store.load(&EXPECTED).unwrap()), [2, 1]);
}

#[test]
fn another_configuration_skips_what_is_not_its_own() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 2).unwrap();
    save(&store, 1);
    let others = [
        (Expected { schema_hash: 8, ..EXPECTED }, "schema"),
        (Expected { function: Function::Schedule, ..EXPECTED }, "function"),
        (Expected { inputs: 3, ..EXPECTED }, "shape"),
    ];
    for (expected, what) in others {
        let loaded = store.load(&expected).unwrap();
        assert!(loaded.generations.is_empty() && loaded.highest == 1);
        let said = loaded.skipped[0].fault.to_string();
        assert!(said.contains(what), "{said}");
    }
    // Whole and checked, but another generation's: a folder that somebody copied.
    fs::create_dir(store.place(9)).unwrap();
    for name in [SNAPSHOT, NETWORK, MANIFEST] {
        fs::copy(store.place(1).join(name), store.place(9).join(name)).unwrap();
    }
    let loaded = store.load(&EXPECTED).unwrap();
    assert_eq!((numbers(&loaded), &loaded.skipped[0].fault), (vec![1], &Fault::Generation(1)));
}

#[test]
fn leftovers_go_strangers_stay_and_two_processes_do_not_share() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 2).unwrap();
    save(&store, 1);
    assert!(matches!(Store::open(folder.path(), 2), Err(StoreError::InUse(_))));
    drop(store);
    for name in [".new-00000002", ".old-00000000", "generation-3", "notes"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    let store = Store::open(folder.path(), 2).unwrap();
    assert_eq!(numbers(&store.load(&EXPECTED).unwrap()), [1]);
    let mut left = store.names().unwrap();
    left.sort();
    assert_eq!(left, ["generation-00000001", "generation-3", "lock", "notes"]);
}

#[test]
fn a_refused_generation_stays_refused() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path(), 2).unwrap();
    save(&store, 1);
    save(&store, 2);
    store.refuse(2).unwrap();
    assert!(store.refuse(3).is_err());
    let loaded = store.load(&EXPECTED).unwrap();
    assert_eq!(loaded.generations.iter().map(|stored| stored.refused).collect::<Vec<_>>(), [true, false]);
}
