//! One thing that was looked at, and a list of them as text and as JSON.

use serde::Serialize;
use std::fmt::Write as _;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Works, and could be better.
    Advice,
    /// `weir run` fails, or its traffic does.
    Fault,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Names the check.
    pub check: &'static str,
    /// How it ended.
    pub level: Level,
    /// What is there.
    pub found: String,
    /// What should be there; nothing when all is well.
    pub wanted: Option<String>,
    /// The command that changes it, or what else does.
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding { check, level: Level::Ok, found: found.into(), wanted: None, fix: None }
    }

    /// It could be better.
    pub fn advice(
        check: &'static str,
        found: impl Into<String>,
        wanted: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        let (wanted, fix) = (Some(wanted.into()), Some(fix.into()));
        Finding { check, level: Level::Advice, found: found.into(), wanted, fix }
    }

    /// It does not work.
    pub fn fault(
        check: &'static str,
        found: impl Into<String>,
        wanted: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding { level: Level::Fault, ..Finding::advice(check, found, wanted, fix) }
    }

    /// A fault where `needed`, otherwise an advice.
    #[must_use]
    pub fn if_needed(self, needed: bool) -> Finding {
        let level = if needed { self.level } else { self.level.min(Level::Advice) };
        Finding { level, ..self }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Version of this form. Rises when a reader would misread it.
    pub version: u32,
    /// The configuration that decides what matters, if one was given.
    pub config: Option<String>,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// How many are of a level.
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// As an operator reads it.
    pub fn render(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        let mut text = String::new();
        for finding in &self.findings {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Advice => "advice",
                Level::Fault => "FAULT",
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{level:<6}  {:<width$}  {}", finding.check, finding.found);
            for (label, line) in [("wanted", &finding.wanted), ("fix", &finding.fix)] {
                if let Some(line) = line {
                    let _ = writeln!(text, "        {:<width$}    {label:<6}  {line}", "");
                }
            }
        }
        let (faults, advice) = (self.count(Level::Fault), self.count(Level::Advice));
        let _ = writeln!(text, "\n{} ok, {advice} to improve, {faults} at fault", self.count(Level::Ok));
        text
    }
}
