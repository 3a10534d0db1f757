//! What is compared.

use serde::Serialize;

/// One way to carry the same traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// The client's device is the link itself.
    NoWeir,
    /// Weir forwards and tracks, and paces nothing.
    Forward,
    /// Weir paces by its classical rule.
    BbrLite,
    /// Weir paces by the network that the configuration names.
    Model,
}

impl Scheme {
    /// All, in the order of the table.
    pub const ALL: [Scheme; 4] = [Scheme::NoWeir, Scheme::Forward, Scheme::BbrLite, Scheme::Model];

    /// As in the table and the figure.
    pub fn title(self) -> &'static str {
        match self {
            Scheme::NoWeir => "no Weir",
            Scheme::Forward => "forwarding only",
            Scheme::BbrLite => "rule bbr_lite",
            Scheme::Model => "model",
        }
    }

    /// As in file names.
    pub fn slug(self) -> &'static str {
        match self {
            Scheme::NoWeir => "no-weir",
            Scheme::Forward => "forward",
            Scheme::BbrLite => "bbr-lite",
            Scheme::Model => "model",
        }
    }

    /// What the scheme changes in the configuration; `None` runs no Weir. An empty value takes the key away.
    pub fn overrides(self) -> Option<&'static [&'static str]> {
        match self {
            Scheme::NoWeir => None,
            Scheme::Forward => Some(&["pacing.rule=none", "pacing.model="]),
            Scheme::BbrLite => Some(&["pacing.rule=bbr_lite", "pacing.model="]),
            Scheme::Model => Some(&[]),
        }
    }
}
