//! `weir check`: every shipped configuration passes; every bad model is refused in one line, with an exit status, in
//! under a second.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use weir_trainer::network::{Activation, Layer, Network, Output as NetworkOutput};
use weir_trainer::onnx::export;

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

fn weir(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).output().unwrap()
}

#[test]
fn every_shipped_configuration_passes() {
    let mut seen = 0;
    for entry in std::fs::read_dir(conf()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            let output = weir(&["check", file.to_str().unwrap()]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let text = std::fs::read_to_string(&file).unwrap();
            let models = text.lines().filter(|line| line.starts_with("[[model]]")).count();
            assert!(said.contains(": ok"), "{said}");
            assert_eq!(said.matches("quantisation error").count(), models, "{said}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen} configurations in conf/");
}

#[test]
fn limits_are_told() {
    let file = conf().join("pcap.toml");
    let limits = "pacing.limit=[{name=\"tenant\",prefix=\"fd00::/16\",side=\"inside\",rate=\"2Mbps\"},\
                  {name=\"uplink\",rate=\"5Mbps\"}]";
    let output = weir(&["check", file.to_str().unwrap(), "--set", limits]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for line in ["limit tenant: inside fd00::/16 at 2.000 Mb/s", "limit uplink: every frame at 5.000 Mb/s"] {
        assert!(said.lines().any(|found| found == line), "{said}");
    }
}

/// A network of one layer with this weight everywhere.
fn one_layer(inputs: usize, outputs: usize, weight: f64) -> Network {
    let layer = Layer {
        inputs,
        outputs,
        weights: vec![weight; inputs * outputs],
        bias: vec![0.0; outputs],
        activation: Activation::Identity,
    };
    Network { layers: vec![layer], output: NetworkOutput::Linear }
}

/// `bytes` with every occurrence of `from` replaced by `to`, which is as long.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    for at in 0..bytes.len().saturating_sub(from.len() - 1) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0, "nothing to replace");
    bytes
}

#[test]
fn a_bad_model_is_refused_in_one_line_within_a_second() {
    let good = std::fs::read(conf().join("models/aurora.onnx")).unwrap();
    // ModelProto's graph, field 7, with a length of 10 GB and nothing behind it.
    let huge = vec![0x08, 0x08, 0x3A, 0x80, 0xC8, 0xAF, 0xA0, 0x25];
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("truncated", good[..good.len() / 2].to_vec(), ""),
        ("empty", Vec::new(), ""),
        ("not a model", b"GIF89a".repeat(100), ""),
        ("input width", export(&one_layer(12, 1, 0.1), "narrow"), "12 inputs"),
        ("output width", export(&one_layer(30, 2, 0.1), "wide"), "2 outputs"),
        ("operator", patched(&good, b"Tanh", b"Tanj"), "Tanj"),
        ("NaN", export(&one_layer(30, 1, f64::NAN), "nan"), ""),
        ("infinity", export(&one_layer(30, 1, f64::INFINITY), "inf"), ""),
        ("10 GB", huge, ""),
    ];
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("bad.onnx");
    let configuration = conf().join("demo.toml");
    for (what, bytes, expected) in cases {
        std::fs::write(&model, bytes).unwrap();
        let began = Instant::now();
        let set = format!("model[0].file={}", model.display());
        let output = weir(&["check", configuration.to_str().unwrap(), "--set", &set]);
        let spent = began.elapsed();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{what}: {said}");
        assert!(said.contains("bad.onnx") && said.contains(expected), "{what}: {said}");
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert!(spent < Duration::from_secs(1), "{what}: took {spent:?}");
    }
}

/// `mocc.onnx` takes three weights besides the features, which `[[model]]` has to name.
#[test]
fn a_preference_is_asked_for_where_the_network_takes_one() {
    let file = format!("model[0].file={}", conf().join("models/mocc.onnx").display());
    let preference = "model[0].preference=[0.1, 0.6, 0.3]";
    let configuration = conf().join("demo.toml");
    let check_in = |configuration: &Path, overrides: &[&str]| {
        let set = overrides.iter().flat_map(|text| ["--set", *text]);
        let arguments: Vec<&str> =
            ["check", configuration.to_str().unwrap()].into_iter().chain(set).collect();
        let output = weir(&arguments);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let check = |overrides: &[&str]| check_in(&configuration, overrides);
    let (status, said) = check(&[&file, preference]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("layers 30-64-32-1") && said.contains("preference 0.1 throughput"), "{said}");

    let (status, said) = check(&[&file]);
    assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
    // The place of the table that lacks the key.
    let place = said.strip_prefix(&format!("{}:", configuration.display())).unwrap();
    assert!(place.starts_with(|digit: char| digit.is_ascii_digit()), "{said}");
    assert!(
        said.contains(": model[0].preference: ") && said.contains("the network takes 33 inputs"),
        "{said}"
    );

    let (status, said) = check(&[preference]);
    assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with(&format!("--set {preference}: model[0].preference: ")), "{said}");
    assert!(said.contains("the network takes 30 inputs; expected 33"), "{said}");

    // One that learns, learns for its preference and for nothing else.
    let adaptive = conf().join("adaptive.toml");
    let (status, said) = check_in(&adaptive, &[&file, preference]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("adapt.reward_weights: expected none beside the model's preference"), "{said}");
    let (status, said) = check_in(&adaptive, &[&file, preference, "model[0].adapt.reward_weights="]);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn a_snapshot_is_built_and_verified_for_a_preference() {
    let folder = tempfile::tempdir().unwrap();
    let onnx = conf().join("models/mocc.onnx");
    let onnx = onnx.to_str().unwrap();
    let preferences = ["0.6,0.3,0.1", "0.1,0.6,0.3"];
    let snapshots = preferences.map(|preference| {
        let snapshot = folder.path().join(preference);
        let out = snapshot.to_str().unwrap();
        let built = weir(&["snapshot", "build", onnx, "--preference", preference, "-o", out]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        out.to_owned()
    });
    let [first, second] = snapshots.each_ref().map(|snapshot| std::fs::read(snapshot).unwrap());
    assert!(first != second);
    for (preference, held) in preferences.iter().zip([true, false]) {
        let arguments = ["snapshot", "verify", &snapshots[0], "--onnx", onnx, "--rows", "2000"];
        let verified = weir(&[&arguments[..], &["--preference", preference]].concat());
        let said = String::from_utf8([verified.stdout, verified.stderr].concat()).unwrap();
        assert_eq!(verified.status.success(), held, "{preference}: {said}");
    }
    let out = folder.path().join("none");
    for arguments in [&[][..], &["--preference", "0.6,0.3"], &["--preference", "0.6,0.3,0.3"]] {
        let built = [&["snapshot", "build", onnx, "-o", out.to_str().unwrap()], arguments].concat();
        let said = weir(&built);
        assert!(!said.status.success() && !out.exists(), "{arguments:?}");
        let said = String::from_utf8(said.stderr).unwrap();
        assert!(said.contains("such as [0.6, 0.3, 0.1]") || said.contains("such as 0.6,0.3,0.1"), "{said}");
    }
}

#[test]
fn a_sparse_file_of_10_gb_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("bad.onnx");
    std::fs::File::create(&model).unwrap().set_len(10 << 30).unwrap();
    let began = Instant::now();
    let set = format!("model[0].file={}", model.display());
    let output = weir(&["check", conf().join("demo.toml").to_str().unwrap(), "--set", &set]);
    assert_eq!(output.status.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_snapshot_is_built_inspected_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("aurora.wsnap");
    let (snapshot, onnx) = (snapshot.to_str().unwrap(), conf().join("models/aurora.onnx"));
    let onnx = onnx.to_str().unwrap();
    for precision in ["8bit", "12bit"] {
        let built = weir(&["snapshot", "build", onnx, "--precision", precision, "-o", snapshot]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let inspected = weir(&["snapshot", "inspect", snapshot, "--json"]);
        let page: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
        assert_eq!(page["precision"], precision);
        assert_eq!((page["inputs"].as_u64(), page["outputs"].as_u64()), (Some(30), Some(1)));
        let verified = weir(&["snapshot", "verify", snapshot, "--onnx", onnx, "--rows", "2000"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }

    // Another network of the same shape is not what the snapshot was made from.
    let other = folder.path().join("other.onnx");
    std::fs::write(&other, export(&one_layer(30, 1, 1.0), "other")).unwrap();
    let verified =
        weir(&["snapshot", "verify", snapshot, "--onnx", other.to_str().unwrap(), "--rows", "2000"]);
    assert_eq!(verified.status.code(), Some(1), "{}", String::from_utf8_lossy(&verified.stdout));

    // One flipped bit.
    let mut bytes = std::fs::read(snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(snapshot, bytes).unwrap();
    let inspected = weir(&["snapshot", "inspect", snapshot]);
    assert_eq!(inspected.status.code(), Some(1));
    assert_eq!(String::from_utf8(inspected.stderr).unwrap().lines().count(), 1);
}
