//! What the kernel says about itself in files.

use std::fs;
use std::path::{Path, PathBuf};

/// The tree in which `/proc` and `/sys` are looked up: `/` for this machine.
#[derive(Clone, Debug)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// Under `root`.
    pub fn new(root: impl Into<PathBuf>) -> Sysfs {
        Sysfs { root: root.into() }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without the white space around it; `None` where it is missing or closed to us.
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.at(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// A file that holds one number.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.text(path)?.parse().ok()
    }

    /// The value behind `name` in a file of `name: value` lines.
    pub fn field(&self, path: &str, name: &str) -> Option<String> {
        let text = self.text(path)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    }

    /// Names in a folder, sorted; none where it is missing.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    /// The last part of what a link points to, as in `driver -> .../vfio-pci`.
    pub fn link(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.at(path)).ok()?;
        Path::new(&target).file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// A list of cores such as `0-3,8`.
    pub fn cores(&self, path: &str) -> Vec<usize> {
        self.text(path).map(|text| cores(&text)).unwrap_or_default()
    }

    /// The value of `name=value` on the kernel's command line, or an empty one for `name` alone.
    pub fn boot_option(&self, name: &str) -> Option<String> {
        let line = self.text("/proc/cmdline")?;
        line.split_whitespace().find_map(|word| match word.split_once('=') {
            Some((key, value)) => (key == name).then(|| value.to_owned()),
            None => (word == name).then(String::new),
        })
    }
}

/// More cores than any kernel is built for: a list that names more is no list of cores.
const CORES_MAX: usize = 8_192;

/// Reads `0-3,8`. What is no number or range is left out (`isolcpus` may begin with flags).
pub(super) fn cores(text: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<usize>(), to.parse::<usize>())
            && to < CORES_MAX
        {
            cores.extend(from..=to);
        }
    }
    cores
}

/// Writes cores as `0-3,8`.
pub(super) fn ranges(cores: &[usize]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut rest = cores;
    while let Some(&first) = rest.first() {
        let length = rest.iter().enumerate().take_while(|(index, core)| **core == first + index).count();
        let last = first + length - 1;
        texts.push(if last == first { first.to_string() } else { format!("{first}-{last}") });
        rest = &rest[length..];
    }
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_read_and_print() {
        for (text, list) in
            [("", vec![]), ("3", vec![3]), ("0-2,5", vec![0, 1, 2, 5]), ("managed_irq,1-2", vec![1, 2])]
        {
            assert_eq!(cores(text), list);
        }
        assert_eq!(cores("0-99999999999"), [0usize; 0]);
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "");
    }
}
