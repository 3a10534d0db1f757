//! What was measured, as a table, as JSON, and as what the figure shows.

use crate::contender::{Label, Start};
use crate::machine::Machine;
use crate::measure::{Spread, ratio};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};
use weir_snapshot::{Executor, Precision};

/// What the best executor must reach over the generated C at its best flags: numbers, rows, factor. See docs/SPEC.md.
const GOALS: [(Precision, usize, f64); 3] =
    [(Precision::Bits8, 32, 40.0), (Precision::Bits12, 32, 20.0), (Precision::Bits8, 1, 10.0)];

/// What the C for the kernel must reach over the generated C at its best flags without SIMD, both by one compiler: numbers,
/// factor.
const KERNEL_GOALS: [(Precision, f64); 2] = [(Precision::Bits8, 2.0), (Precision::Bits12, 1.6)];

/// One contender's figures.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub label: Label,
    /// Nanoseconds per inference.
    pub ns: Spread,
    /// Mean distance from the float network, in deviations of its output.
    pub error: f64,
    #[serde(skip)]
    pub rounds: Vec<f64>,
    #[serde(skip)]
    pub kind: Kind,
}

/// What a contender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Executor,
    Generated,
    KernelC,
    Naive,
    OnnxRuntime,
}

/// How many times faster an executor is than a competitor.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    pub of: Label,
    pub over: Label,
    /// Of the rounds' own ratios.
    pub times: Spread,
    /// The goal, where there is one for this pair.
    pub goal: Option<f64>,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub machine: Machine,
    pub unix_seconds: u64,
    pub model: String,
    pub rounds: usize,
    /// The share of its core that the bench had.
    pub core_share: f64,
    pub compilers: Vec<String>,
    pub entries: Vec<Entry>,
    pub ratios: Vec<Ratio>,
    /// Of the C for the kernel.
    pub kernel_ratios: Vec<Ratio>,
    /// What could not be measured, and what to do about it.
    pub missing: Vec<String>,
}

impl Report {
    /// Takes every ratio that the entries allow.
    pub(crate) fn compare(&mut self) {
        let best = Executor::best().name();
        let executors = self.entries.iter().filter(|entry| entry.kind == Kind::Executor);
        self.ratios = executors
            .flat_map(|entry| {
                self.competitors(entry.label.start).into_iter().map(move |over| {
                    let goal = GOALS.iter().find(|(precision, rows, _)| {
                        let same = (precision.name(), *rows, best, Start::Row);
                        let label = &entry.label;
                        over.kind == Kind::Generated
                            && same == (label.numbers, label.rows, label.name.as_str(), label.start)
                    });
                    Ratio {
                        of: entry.label.clone(),
                        over: over.label.clone(),
                        times: ratio(&over.rounds, &entry.rounds),
                        goal: goal.map(|&(_, _, factor)| factor),
                    }
                })
            })
            .collect();
        let kernel = self.entries.iter().filter(|entry| entry.kind == Kind::KernelC);
        self.kernel_ratios = kernel
            .filter_map(|entry| {
                let over = self.without_simd(entry)?;
                let goal = KERNEL_GOALS.iter().find(|(precision, _)| {
                    (precision.name(), Start::Row) == (entry.label.numbers, entry.label.start)
                });
                Some(Ratio {
                    of: entry.label.clone(),
                    over: over.label.clone(),
                    times: ratio(&over.rounds, &entry.rounds),
                    goal: goal.map(|&(_, factor)| factor),
                })
            })
            .collect();
    }

    /// The generated C at its best flags without SIMD, by the same compiler and with the same start.
    fn without_simd(&self, entry: &Entry) -> Option<&Entry> {
        let compiler = entry.label.name.split_whitespace().nth(2)?;
        let peers = self.entries.iter().filter(|peer| {
            peer.kind == Kind::Generated
                && peer.label.start == entry.label.start
                && peer.label.name.starts_with(compiler)
                && peer.label.name.contains("-mgeneral-regs-only")
        });
        peers.min_by(|a, b| a.ns.p50.total_cmp(&b.ns.p50))
    }

    /// What executors with this start are compared with: the generated C at its best flags, then the others.
    pub(crate) fn competitors(&self, start: Start) -> Vec<&Entry> {
        let with_start = self.entries.iter().filter(|entry| entry.label.start == start);
        let (generated, others): (Vec<&Entry>, Vec<&Entry>) = with_start
            .filter(|entry| !matches!(entry.kind, Kind::Executor | Kind::KernelC))
            .partition(|entry| entry.kind == Kind::Generated);
        let best = generated.into_iter().min_by(|a, b| a.ns.p50.total_cmp(&b.ns.p50));
        best.into_iter().chain(others).collect()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "time per inference, {}", self.model)?;
        writeln!(f, "{}, kernel {}, core {}", self.machine.cpu, self.machine.kernel, self.machine.core)?;
        writeln!(
            f,
            "{} interleaved rounds; the bench had {:.1} % of its core; compilers: {}\n",
            self.rounds,
            100.0 * self.core_share,
            if self.compilers.is_empty() { "none".to_string() } else { self.compilers.join("; ") }
        )?;
        writeln!(
            f,
            "{:<58} {:>6} {:>5}  {:<8} {:>9} {:>19} {:>9}",
            "", "", "rows", "from", "ns p50", "p10 - p90", "error"
        )?;
        for entry in &self.entries {
            let Label { name, numbers, rows, start } = &entry.label;
            let Spread { p10, p50, p90 } = entry.ns;
            let start = match start {
                Start::Row => "row",
                Start::Features => "features",
            };
            let spread = format!("{p10:.1} - {p90:.1}");
            writeln!(
                f,
                "{name:<58} {numbers:>6} {rows:>5}  {start:<8} {p50:>9.1} {spread:>19} {:>9.5}",
                entry.error
            )?;
        }
        writeln!(f, "error: mean distance from the float network, in deviations of its output\n")?;
        for start in [Start::Row, Start::Features] {
            self.ratios_from(start, f)?;
        }
        writeln!(
            f,
            "times faster without SIMD: Weir's C for the kernel over the generated C at its best flags, one compiler"
        )?;
        for ratio in &self.kernel_ratios {
            let Label { name, numbers, start, .. } = &ratio.of;
            let start = if *start == Start::Row { "row" } else { "features" };
            writeln!(
                f,
                "{name:<42} {numbers:>5}  {start:<8}  {:<18} over {}{}",
                ratio.times.to_string(),
                ratio.over.name,
                ratio.verdict().unwrap_or_default()
            )?;
        }
        writeln!(f)?;
        for missing in &self.missing {
            writeln!(f, "MISSING {missing}")?;
        }
        Ok(())
    }
}

impl Report {
    fn ratios_from(&self, start: Start, f: &mut Formatter<'_>) -> fmt::Result {
        let from = match start {
            Start::Row => "quantised rows",
            Start::Features => "features, which are quantised on the way",
        };
        writeln!(f, "times faster, from {from}: median (10th to 90th of a hundred) of the rounds' ratios")?;
        let competitors = self.competitors(start);
        if competitors.is_empty() {
            return writeln!(f, "no ratio: every competitor is missing, see below\n");
        }
        write!(f, "{:<12} {:>5} {:>4}", "", "", "rows")?;
        for over in &competitors {
            write!(f, "  {:>25}", format!("{} x{}", over.label.name, over.label.rows))?;
        }
        writeln!(f)?;
        let mut ratios = self.ratios.iter().filter(|ratio| ratio.of.start == start).peekable();
        while let Some(first) = ratios.next() {
            let Label { name, numbers, rows, .. } = &first.of;
            write!(f, "{name:<12} {numbers:>5} {rows:>4}")?;
            let mut goal = first.verdict();
            write!(f, "  {:>25}", first.times)?;
            while let Some(next) = ratios.next_if(|next| next.of == first.of) {
                goal = goal.or(next.verdict());
                write!(f, "  {:>25}", next.times)?;
            }
            writeln!(f, "{}", goal.unwrap_or_default())?;
        }
        writeln!(f)
    }
}

impl Ratio {
    /// Whether a goal is met, if there is one.
    fn verdict(&self) -> Option<String> {
        let met = |goal| if self.times.p50 >= goal { "met" } else { "MISSED" };
        self.goal.map(|goal| format!("  goal {goal} over {}: {}", self.over.name, met(goal)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, rows: usize, kind: Kind, rounds: &[f64]) -> Entry {
        let label = Label { name: name.into(), numbers: "8bit", rows, start: Start::Row };
        Entry { label, ns: Spread::of(rounds.to_vec()), error: 0.0, rounds: rounds.to_vec(), kind }
    }

    fn report(entries: Vec<Entry>) -> Report {
        let mut report = Report {
            machine: Machine { cpu: "a".into(), kernel: "b".into(), core: 0 },
            unix_seconds: 0,
            model: "m".into(),
            rounds: 3,
            core_share: 1.0,
            compilers: Vec::new(),
            entries,
            ratios: Vec::new(),
            kernel_ratios: Vec::new(),
            missing: vec!["gcc: install it".into()],
        };
        report.compare();
        report
    }

    #[test]
    fn without_competitors_there_is_no_ratio() {
        let report = report(vec![entry(Executor::best().name(), 32, Kind::Executor, &[5.0, 5.0, 5.0])]);
        let text = report.to_string();
        assert!(report.ratios.is_empty() && text.contains("no ratio"), "{text}");
        assert!(text.contains("MISSING gcc: install it"), "{text}");
    }

    #[test]
    fn kernel_c_is_held_against_its_own_compilers_c_without_simd() {
        let report = report(vec![
            entry("kernel C, gcc -O2 -mgeneral-regs-only", 1, Kind::KernelC, &[100.0, 100.0, 100.0]),
            entry("gcc -O3", 1, Kind::Generated, &[110.0, 110.0, 110.0]),
            entry("clang -O2 -mgeneral-regs-only", 1, Kind::Generated, &[120.0, 120.0, 120.0]),
            entry("gcc -O2 -mgeneral-regs-only", 1, Kind::Generated, &[190.0, 190.0, 190.0]),
        ]);
        assert_eq!(report.kernel_ratios.len(), 1);
        let ratio = &report.kernel_ratios[0];
        assert_eq!((ratio.times.p50, ratio.goal), (1.9, Some(2.0)));
        assert!(report.to_string().contains("goal 2 over gcc -O2 -mgeneral-regs-only: MISSED"), "{report}");
    }

    #[test]
    fn goals_are_judged_against_the_best_flags_only() {
        let report = report(vec![
            entry(Executor::best().name(), 32, Kind::Executor, &[5.0, 10.0, 10.0]),
            entry("slow", 1, Kind::Generated, &[900.0, 900.0, 900.0]),
            entry("quick", 1, Kind::Generated, &[195.0, 395.0, 395.0]),
        ]);
        assert_eq!(report.ratios.len(), 1, "one set of flags");
        let ratio = &report.ratios[0];
        assert_eq!((ratio.over.name.as_str(), ratio.goal), ("quick", Some(40.0)));
        // Within each round 39 to 39.5, though the medians of both sides come from different rounds.
        assert_eq!(ratio.times.p50, 39.5);
        assert!(report.to_string().contains("goal 40 over quick: MISSED"), "{report}");
    }
}
