//! A `weir run` of its own folder and configuration, and what one can ask of it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

/// A running Weir. Ends with its handle.
pub(crate) struct Weir {
    pub(crate) child: Child,
    /// Where it serves HTTP.
    pub(crate) address: String,
    /// Keeps the configuration and the socket until the end.
    pub(crate) folder: TempDir,
    /// The reading end of the log.
    pub(crate) log: Option<std::thread::JoinHandle<String>>,
}

impl Weir {
    /// The rest of its log, once it has ended.
    pub(crate) fn rest_of_log(&mut self) -> String {
        self.log.take().unwrap().join().unwrap()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        // Fails where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the configuration lies in its folder.
pub(crate) const FILE: &str = "null.toml";

/// Starts it with some keys overridden, or none, and waits until it says where it serves.
pub(crate) fn start_in(folder: TempDir, config: &str, overrides: &[&str]) -> Weir {
    let file = folder.path().join(FILE);
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    start_command(folder, &file, command.arg("run"), overrides)
}

/// The same with a command that has an environment of its own.
pub(crate) fn start_command(folder: TempDir, file: &Path, command: &mut Command, overrides: &[&str]) -> Weir {
    let mut child = command
        .arg(file)
        .args(overrides.iter().flat_map(|assignment| ["--set", assignment]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = String::new();
    let address = loop {
        let line = lines.next().unwrap_or_else(|| panic!("weir ended: {seen}")).unwrap();
        seen.push_str(&line);
        if let Some((_, rest)) = line.split_once("http://") {
            break rest.split('/').next().unwrap().to_owned();
        }
    };
    let log = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"));
    Weir { child, address, folder, log: Some(log) }
}

/// An HTTP answer, its head included.
pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: weir\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sum of each metric over its labels.
pub(crate) fn scrape(address: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let page = get(address, "/metrics");
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    for line in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let name = name.split('{').next().unwrap().to_owned();
        *sums.entry(name).or_insert(0.0) += value.parse::<f64>().unwrap();
    }
    sums
}

/// Sends a signal, such as `-TERM`.
pub(crate) fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// `weir ctl` with the configuration's own socket, after the configuration has become `text`.
pub(crate) fn ctl(weir: &Weir, text: &str, words: &[&str]) -> Output {
    let file = weir.folder.path().join(FILE);
    std::fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_weir")).args(["ctl", "--config"]).arg(file).args(words).output().unwrap()
}
