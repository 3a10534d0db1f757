//! Namespaces, traffic and measurements for the demo and the live tests.
//!
//! ```text
//!  client ─ c0 ═══ weir-in ─ Weir ─ weir-out ─┐            ┌─ s0 ─ server
//!           (veth)   (namespace weir)    (tap) └─ the link ─┘ (tap)
//! ```
//!
//! Everything is made for one run, named after the process that made it, and removed when its owner is dropped:
//! at the end, on an error, on a panic and on SIGINT. What a killed run left behind is removed by the next one.
//!
//! It knows Weir only from outside, as a process with a configuration file, an exit status and metrics, and
//! shares no code with it: what it measures cannot be wrong in the same way twice.
#![forbid(unsafe_code)]

pub mod adaptation;
pub mod bed;
pub mod dashboard;
pub mod exposition;
pub mod figure;
pub mod http;
pub mod interrupt;
pub mod iperf;
pub mod link;
pub mod measure;
pub mod netns;
pub mod paths;
pub mod ping;
pub mod process;
pub mod prometheus;
pub mod report;
pub mod scheme;
mod text;
pub mod traffic;
pub mod trial;
pub mod weir;
