//! Why a candidate is not published.

use super::hold_out::ERRORS;
use std::fmt;
use weir_snapshot::SnapshotError;

/// A refusal. One line that says what was measured and what would have passed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It was tuned from a generation that is no longer the active one.
    #[error("tuned from generation {tuned_from}, but {active} is active")]
    Stale {
        /// What it was tuned from.
        tuned_from: u32,
        /// What is active.
        active: u32,
    },
    /// The stability values still move, or there are too few.
    #[error("stability value still moves: by {spread:.4} over {values} values, {spread_max:.4} is flat")]
    NotConverged {
        /// Largest minus smallest value of the window.
        spread: f64,
        /// What would be flat.
        spread_max: f64,
        /// Values in the window.
        values: usize,
    },
    /// A weight is infinite or not a number, or too large for the file's floats.
    #[error("layer {layer} has a weight that is no finite number")]
    NotFinite {
        /// Counted from 1.
        layer: usize,
    },
    /// The float network is not one, or takes or gives another number of values.
    #[error("{0}")]
    Shape(String),
    /// It says the same as what runs.
    #[error("fidelity loss {loss:.4} sigma, {threshold:.4} would be worth a publication")]
    Unnecessary {
        /// Measured.
        loss: f64,
        /// Configured.
        threshold: f64,
    },
    /// It says the same as a generation that live traffic has fared badly with.
    #[error("within {distance:.4} sigma of generation {generation}, which was rolled back")]
    KnownBad {
        /// That generation.
        generation: u32,
        /// Mean distance from it.
        distance: f64,
    },
    /// There are no integers for it.
    #[error("cannot be quantised: {0}")]
    Unquantisable(String),
    /// Its bytes are refused by the format's checks: torn, out of range, an accumulator could overflow.
    #[error("invalid snapshot: {0}")]
    Invalid(SnapshotError),
    /// Its bytes are a sound snapshot of something else.
    #[error("the snapshot's {what} is {found}, expected {expected}")]
    Foreign {
        /// Function, schema or shape.
        what: &'static str,
        /// What is expected.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Its integers are too far from its floats, at every precision.
    #[error(
        "quantisation error mean {mean:.4}, p99 {p99:.4} sigma at the best precision, {mean_max:.4} and \
         {p99_max:.4} pass"
    )]
    Imprecise {
        /// Mean error.
        mean: f64,
        /// 99th percentile.
        p99: f64,
        /// Largest mean that passes.
        mean_max: f64,
        /// Largest 99th percentile that passes.
        p99_max: f64,
    },
    /// The guard would have to hold it back too often.
    #[error("the guard would clamp {:.2} % of hold-out rows, {:.2} % pass", 100.0 * share, 100.0 * share_max)]
    Unsafe {
        /// Share of rows.
        share: f64,
        /// Share that passes.
        share_max: f64,
    },
    /// In replay at present conditions it loses far more packets than others do.
    #[error("replay at present conditions: loses {:.1} % of packets, others {:.1} %", 100.0 * candidate, 100.0 * others)]
    Floods {
        /// The candidate's share.
        candidate: f64,
        /// The larger of the running snapshot's and the rule's.
        others: f64,
    },
    /// In replay at present conditions it earns less than what runs.
    #[error("replay at present conditions: reward {candidate:.4}, running {running:.4}")]
    WorseThanRunning {
        /// The candidate's mean reward.
        candidate: f64,
        /// The running snapshot's.
        running: f64,
    },
    /// In replay at present conditions it earns less than the rule, and no more than what runs.
    #[error("replay at present conditions: reward {candidate:.4}, rule {rule:.4}")]
    WorseThanRule {
        /// The candidate's mean reward.
        candidate: f64,
        /// The rule's.
        rule: f64,
    },
    /// In replay on a remembered path it earns less than the best generation did there.
    #[error("replay on a remembered path: reward {candidate:.4}, best so far {best:.4}")]
    Forgets {
        /// The candidate's reward.
        candidate: f64,
        /// The best generation's.
        best: f64,
    },
    /// It predicts hold-out rows worse than what runs.
    #[error("hold-out loss {candidate:.6} +- {error:.6}, running {running:.6}")]
    WorseHoldOut {
        /// The candidate's mean loss.
        candidate: f64,
        /// The running snapshot's.
        running: f64,
        /// Standard error of their difference.
        error: f64,
    },
    /// On hold-out rows it is neither better nor worse than what runs beyond doubt.
    #[error(
        "hold-out loss {candidate:.6}, running {running:.6}: less by {errors} standard errors of {error:.6} would be better",
        errors = ERRORS
    )]
    Indistinguishable {
        /// The candidate's mean loss.
        candidate: f64,
        /// The running snapshot's.
        running: f64,
        /// Standard error of their difference.
        error: f64,
    },
    /// There is not enough to judge it by.
    #[error("{found} hold-out rows, {needed} are needed to judge a candidate")]
    TooLittleEvidence {
        /// Rows there are.
        found: usize,
        /// Rows needed.
        needed: usize,
    },
}

/// A refusal's reason, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "as the variants of Refusal")]
pub enum RefusalReason {
    Stale,
    NotConverged,
    NotFinite,
    Shape,
    Unnecessary,
    KnownBad,
    Unquantisable,
    Invalid,
    Foreign,
    Imprecise,
    Unsafe,
    Floods,
    WorseThanRunning,
    WorseThanRule,
    Forgets,
    WorseHoldOut,
    Indistinguishable,
    TooLittleEvidence,
}

impl RefusalReason {
    /// All, in the order in which a candidate meets them.
    pub const ALL: [RefusalReason; 18] = [
        RefusalReason::Stale,
        RefusalReason::NotConverged,
        RefusalReason::NotFinite,
        RefusalReason::Shape,
        RefusalReason::TooLittleEvidence,
        RefusalReason::Unnecessary,
        RefusalReason::KnownBad,
        RefusalReason::Unquantisable,
        RefusalReason::Invalid,
        RefusalReason::Foreign,
        RefusalReason::Imprecise,
        RefusalReason::Unsafe,
        RefusalReason::Floods,
        RefusalReason::WorseThanRunning,
        RefusalReason::WorseThanRule,
        RefusalReason::Forgets,
        RefusalReason::WorseHoldOut,
        RefusalReason::Indistinguishable,
    ];

    /// As in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            RefusalReason::Stale => "stale",
            RefusalReason::NotConverged => "not_converged",
            RefusalReason::NotFinite => "not_finite",
            RefusalReason::Shape => "shape",
            RefusalReason::Unnecessary => "unnecessary",
            RefusalReason::KnownBad => "known_bad",
            RefusalReason::Unquantisable => "unquantisable",
            RefusalReason::Invalid => "invalid",
            RefusalReason::Foreign => "foreign",
            RefusalReason::Imprecise => "imprecise",
            RefusalReason::Unsafe => "unsafe",
            RefusalReason::Floods => "floods",
            RefusalReason::WorseThanRunning => "worse_than_running",
            RefusalReason::WorseThanRule => "worse_than_rule",
            RefusalReason::Forgets => "forgets",
            RefusalReason::WorseHoldOut => "worse_hold_out",
            RefusalReason::Indistinguishable => "indistinguishable",
            RefusalReason::TooLittleEvidence => "too_little_evidence",
        }
    }

    /// Whether tuning merely has to go on: the candidate is not done, or not needed. Others say that it is wrong.
    pub const fn is_wait(self) -> bool {
        matches!(
            self,
            RefusalReason::NotConverged
                | RefusalReason::Unnecessary
                | RefusalReason::TooLittleEvidence
                | RefusalReason::Indistinguishable
        )
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Refusal {
    /// Its counter.
    pub const fn reason(&self) -> RefusalReason {
        match self {
            Refusal::Stale { .. } => RefusalReason::Stale,
            Refusal::NotConverged { .. } => RefusalReason::NotConverged,
            Refusal::NotFinite { .. } => RefusalReason::NotFinite,
            Refusal::Shape(_) => RefusalReason::Shape,
            Refusal::Unnecessary { .. } => RefusalReason::Unnecessary,
            Refusal::KnownBad { .. } => RefusalReason::KnownBad,
            Refusal::Unquantisable(_) => RefusalReason::Unquantisable,
            Refusal::Invalid(_) => RefusalReason::Invalid,
            Refusal::Foreign { .. } => RefusalReason::Foreign,
            Refusal::Imprecise { .. } => RefusalReason::Imprecise,
            Refusal::Unsafe { .. } => RefusalReason::Unsafe,
            Refusal::Floods { .. } => RefusalReason::Floods,
            Refusal::WorseThanRunning { .. } => RefusalReason::WorseThanRunning,
            Refusal::WorseThanRule { .. } => RefusalReason::WorseThanRule,
            Refusal::Forgets { .. } => RefusalReason::Forgets,
            Refusal::WorseHoldOut { .. } => RefusalReason::WorseHoldOut,
            Refusal::Indistinguishable { .. } => RefusalReason::Indistinguishable,
            Refusal::TooLittleEvidence { .. } => RefusalReason::TooLittleEvidence,
        }
    }
}
