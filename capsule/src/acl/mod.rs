//! An access control list as a capsule pipeline.
//!
//! Rules are held against each frame in their order; the first that matches decides, and where none does, the list's
//! default. Each decision is counted with its reason. A rule names a side, a protocol, prefixes and ports, all of them
//! optional. A frame whose headers cannot be read as far as rules may ask is denied, whatever the rules: `unreadable`.
//! It keeps no state: an answer needs a rule of its own.
//!
//! As in other stateless filters, a rule that names ports matches no fragment but the first, which has them. Denied first
//! fragments keep a packet from being put together; a list that allows by port denies the later ones, unless a rule
//! without ports lets them pass.

mod config;
mod headers;
mod hits;
mod rules;

pub use config::{AclError, RULES_MAX, load};
pub use headers::{Packet, Seen, Unreadable, read};
pub use hits::{AclStage, Report};
pub use rules::{Acl, Action, Decision, Network, Ports, Protocol, Reason, Rule};

use crate::front::{Inlet, Outlet};
use capsule::Mbuf;
use capsule::batch::{Batch, Pipeline, Poll};
use hits::Hits;
use std::sync::Arc;
use weir_engine::io::Side;

/// The pipeline of one side.
fn pipeline(acl: Arc<Acl>, hits: Arc<Hits>, side: Side, inlet: Inlet, outlet: Outlet) -> impl Pipeline {
    let judge = move |frame: &Mbuf| {
        let decision = acl.decide(side, read(frame));
        hits.count(decision.reason);
        decision.action == Action::Allow
    };
    Poll::new(inlet).filter(judge).send_named("acl", outlet)
}

#[cfg(test)]
pub(crate) mod tests;
