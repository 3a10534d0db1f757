//! The control thread's side of a publication: takes what a reload has checked, and publishes it, the newest last.

use super::models::{Live, NextPolicy};
use crate::control::protocol::{ReloadResult, Reloaded};
use crate::status::ModelStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use weir_engine::policy::Policy;
use weir_handoff::Publisher;

/// How long a publication waits. For the epoch: a worker passes a quiescent state each turn, so one that has not within this
/// time is stuck, and waiting longer would hide it. For flows to leave the generation that it drops: they do when their
/// interval ends or their pin does, and after this time are made to, at their next frame.
pub(super) const PUBLISH_MAX: Duration = Duration::from_secs(2);

/// A checked policy on its way to the control thread.
pub(super) struct Submission {
    next: NextPolicy,
    reply: Sender<Reloaded>,
}

impl Submission {
    /// With the place where its outcome will be told.
    pub(super) fn new(next: NextPolicy) -> (Submission, Receiver<Reloaded>) {
        let (reply, outcome) = channel();
        (Submission { next, reply }, outcome)
    }
}

/// A policy that could not be published so far.
struct Waiting {
    live: Live,
    reply: Sender<Reloaded>,
    until: Instant,
}

/// Publishes policies.
pub(super) struct Publication {
    publisher: Publisher<Policy>,
    live: Live,
    waiting: Option<Waiting>,
    submissions: Receiver<Submission>,
}

impl Publication {
    /// Around the policy that was published first, and the way by which others come.
    pub(super) fn new(publisher: Publisher<Policy>, live: Live) -> (Publication, Sender<Submission>) {
        let (sender, submissions) = channel();
        (Publication { publisher, live, waiting: None, submissions }, sender)
    }

    /// Takes what was submitted and publishes it if flows and epoch allow; frees what no worker reads any more. Never waits.
    /// `follows_only` says whether every flow of every worker follows the generation with this number, or none.
    /// `published` is shown the models of a policy that has just become the live one.
    pub(super) fn tick(
        &mut self,
        now: Instant,
        follows_only: impl FnOnce(u32) -> bool,
        published: impl FnOnce(&[ModelStatus]),
    ) {
        while let Ok(Submission { next, reply }) = self.submissions.try_recv() {
            if let Some(older) = self.waiting.take() {
                refuse(&older.reply, "a newer reload came while this one waited to be published");
            }
            match self.live.followed_by(next) {
                Some(live) => self.waiting = Some(Waiting { live, reply, until: now + PUBLISH_MAX }),
                None => tell(&reply, ReloadResult::Unchanged, Vec::new()),
            }
        }
        let Some(waiting) = self.waiting.take() else {
            self.publisher.reclaim();
            return;
        };
        let models = &self.live.policy.models;
        if let Some(active) = models.active()
            && models.holds_back(&waiting.live.policy.models)
            && now < waiting.until
            && !follows_only(active.number())
        {
            self.waiting = Some(waiting);
            return;
        }
        match self.publisher.publish(waiting.live.policy.clone()) {
            Ok(_) => {
                self.live = waiting.live;
                published(&self.live.models);
                tell(&waiting.reply, ReloadResult::Applied, Vec::new());
            }
            Err(refused) if now >= waiting.until => refuse(
                &waiting.reply,
                &format!(
                    "worker {} has finished no turn for {} s, so what it may still read cannot be replaced: see /healthz",
                    refused.reader,
                    PUBLISH_MAX.as_secs()
                ),
            ),
            Err(_) => self.waiting = Some(waiting),
        }
    }
}

fn refuse(reply: &Sender<Reloaded>, reason: &str) {
    tell(reply, ReloadResult::Refused, vec![reason.to_owned()]);
}

/// Whoever asked may have given up waiting: then there is nobody to tell.
fn tell(reply: &Sender<Reloaded>, result: ReloadResult, reasons: Vec<String>) {
    let _ = reply.send(Reloaded { result, reasons });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Plan, Source};
    use std::path::Path;
    use weir_handoff::{Reader, epoch};

    fn next(rate_max: &str) -> NextPolicy {
        let text = format!(
            "[ports]\ninside = \"pcap:in=a,out=b\"\noutside = \"pcap:in=c,out=d\"\n[pacing]\nrule = \"bbr_lite\"\n\
             rate_min = \"1Mbps\"\nrate_start = \"1Mbps\"\nrate_max = \"{rate_max}\"\nmark_delay = \"10ms\"\n\
             delay_max = \"100ms\"\nflow_held_bytes_max = \"1MiB\"\n"
        );
        let source = Source::from_text(Path::new("x.toml"), text, &[]).unwrap();
        NextPolicy::build(&Plan::check(&source).unwrap(), &source).unwrap()
    }

    fn start() -> (Publication, Sender<Submission>, Reader<Policy>) {
        let live = Live::first(next("10Mbps"));
        let (publisher, mut readers) = epoch(live.policy.clone(), 1);
        let (publication, submissions) = Publication::new(publisher, live);
        (publication, submissions, readers.pop().unwrap())
    }

    /// No flow follows an old generation.
    fn released(_: u32) -> bool {
        true
    }

    fn rate_max(reader: &mut Reader<Policy>) -> u64 {
        reader.borrow().pacing.as_ref().unwrap().rate_max.0
    }

    #[test]
    fn the_same_policy_is_not_published_and_another_is() {
        let (mut publication, submissions, mut reader) = start();
        let now = Instant::now();
        for (rate, result, version) in
            [("10Mbps", ReloadResult::Unchanged, 0), ("20Mbps", ReloadResult::Applied, 1)]
        {
            let (submission, outcome) = Submission::new(next(rate));
            submissions.send(submission).unwrap();
            publication.tick(now, released, |_| {});
            assert_eq!(outcome.try_recv().unwrap().result, result);
            assert_eq!(publication.publisher.version(), version);
        }
        assert_eq!(rate_max(&mut reader), 20_000_000);
    }

    #[test]
    fn a_stuck_worker_refuses_after_a_while_and_the_newest_wins_when_it_goes_on() {
        let (mut publication, submissions, mut reader) = start();
        let now = Instant::now();
        reader.online();
        // The epoch keeps so many replaced policies for a reader that does not move.
        for mbps in 11..11 + weir_handoff::RETIRED_MAX {
            let (submission, outcome) = Submission::new(next(&format!("{mbps}Mbps")));
            submissions.send(submission).unwrap();
            publication.tick(now, released, |_| {});
            assert_eq!(outcome.try_recv().unwrap().result, ReloadResult::Applied);
        }
        let submit = |rate: &str| {
            let (submission, outcome) = Submission::new(next(rate));
            submissions.send(submission).unwrap();
            outcome
        };
        let first = submit("50Mbps");
        publication.tick(now, released, |_| panic!("nothing was published"));
        publication.tick(now + PUBLISH_MAX / 2, released, |_| panic!("nothing was published"));
        assert!(first.try_recv().is_err(), "tried again");
        publication.tick(now + PUBLISH_MAX, released, |_| panic!("nothing was published"));
        let said = first.try_recv().unwrap();
        assert_eq!(said.result, ReloadResult::Refused);
        assert!(said.reasons[0].starts_with("worker 0 has finished no turn for 2 s"), "{said:?}");

        let (older, newer) = (submit("60Mbps"), submit("70Mbps"));
        publication.tick(now, released, |_| panic!("nothing was published"));
        assert_eq!(older.try_recv().unwrap().result, ReloadResult::Refused);
        reader.quiesce();
        publication.tick(now, released, |_| {});
        assert_eq!(newer.try_recv().unwrap().result, ReloadResult::Applied);
        assert_eq!(rate_max(&mut reader), 70_000_000);
    }

    /// The shipped model paces, with this many bits.
    fn next_model(precision: &str) -> NextPolicy {
        let conf = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/pcap.toml");
        let overrides = [format!("model[0].precision={precision}")];
        let source = Source::read(Path::new(conf), &overrides).unwrap();
        NextPolicy::build(&Plan::check(&source).unwrap(), &source).unwrap()
    }

    #[test]
    fn a_third_generation_waits_until_flows_have_left_the_first_but_not_for_ever() {
        let live = Live::first(next_model("8bit"));
        let (publisher, _readers) = epoch(live.policy.clone(), 1);
        let (mut publication, submissions) = Publication::new(publisher, live);
        let now = Instant::now();
        let submit = |precision: &str| {
            let (submission, outcome) = Submission::new(next_model(precision));
            submissions.send(submission).unwrap();
            outcome
        };
        let second = submit("12bit");
        publication.tick(now, |_| panic!("two may live at a time"), |_| {});
        assert_eq!(second.try_recv().unwrap().result, ReloadResult::Applied);

        let third = submit("8bit");
        let asked = std::cell::Cell::new(0);
        let follow_older = |number| {
            asked.set(number);
            false
        };
        publication.tick(now, follow_older, |_| panic!("nothing was published"));
        assert_eq!(asked.get(), 2, "flows may follow the active one");
        publication.tick(now + PUBLISH_MAX / 2, follow_older, |_| panic!("nothing was published"));
        assert!(third.try_recv().is_err());
        publication.tick(now + PUBLISH_MAX / 2, released, |_| {});
        assert_eq!(third.try_recv().unwrap().result, ReloadResult::Applied);

        let fourth = submit("12bit");
        publication.tick(now, follow_older, |_| panic!("nothing was published"));
        publication.tick(now + PUBLISH_MAX, follow_older, |_| {});
        assert_eq!(fourth.try_recv().unwrap().result, ReloadResult::Applied);
        let models = &publication.live.policy.models;
        assert_eq!((models.oldest_live(), models.active().unwrap().number()), (3, 4));

        // Settings alone drop nothing, and wait for nobody.
        let mut settings = next_model("12bit");
        settings.pacing.as_mut().unwrap().control_share = 1;
        let (submission, outcome) = Submission::new(settings);
        submissions.send(submission).unwrap();
        publication.tick(now, |_| panic!("nothing is dropped"), |_| {});
        assert_eq!(outcome.try_recv().unwrap().result, ReloadResult::Applied);
    }
}
