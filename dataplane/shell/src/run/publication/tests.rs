use super::*;
use crate::config::{Plan, Source};
use crate::run::each::Each;
use std::path::Path;
use weir_handoff::{Reader, epoch};

fn plan(rate_max: &str, model: &str) -> (Plan, Source) {
    let text = format!(
        "[ports]\ninside = \"pcap:in=a,out=b\"\noutside = \"pcap:in=c,out=d\"\n[pacing]\nrule = \"bbr_lite\"\n\
         rate_min = \"1Mbps\"\nrate_start = \"1Mbps\"\nrate_max = \"{rate_max}\"\nmark_delay = \"10ms\"\n\
         delay_max = \"100ms\"\nflow_held_bytes_max = \"1MiB\"\n{model}"
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conf/x.toml");
    let source = Source::from_text(Path::new(file), text, &[]).unwrap();
    (Plan::check(&source).unwrap(), source)
}

fn next(rate_max: &str) -> NextPolicy {
    let (plan, source) = plan(rate_max, "");
    NextPolicy::build(&plan, &source).unwrap()
}

/// The shipped model in this precision.
fn model(precision: &str) -> String {
    format!(
        "model = \"aurora\"\n[[model]]\nname = \"aurora\"\nfunction = \"pacing\"\nfile = \"models/aurora.onnx\"\n\
         precision = \"{precision}\"\nhistory = 10\ninputs = [{{ feature = \"sent_latency_inflation\", clip = [-0.5, \
         0.5] }}, {{ feature = \"latency_ratio\", clip = [1, 3] }}, {{ feature = \"send_ratio\", clip = [0.5, 2] }}]\n"
    )
}

fn configured(precision: &str, rate_max: &str) -> NextPolicy {
    let (plan, source) = plan(rate_max, &model(precision));
    NextPolicy::build(&plan, &source).unwrap()
}

fn candidate(number: u32) -> Candidate {
    let (plan, source) = plan("10Mbps", &model("8bit"));
    let built = crate::models::build_all(&plan, &source).unwrap().remove(0);
    Candidate::fit(&plan.models[0], built.snapshot).unwrap().numbered(number)
}

fn start_with(next: NextPolicy) -> (Publication, Sender<Submission>, Reader<Policy>) {
    let live = Live::first(next, Each::of(|_| None));
    let (publisher, mut readers) = epoch(live.policy.clone(), 1);
    let (publication, submissions) = Publication::new(publisher, live);
    (publication, submissions, readers.pop().unwrap())
}

fn submit(submissions: &Sender<Submission>, next: Next) -> Receiver<Reloaded> {
    let (submission, outcome) = Submission::new(next);
    submissions.send(submission).unwrap();
    outcome
}

fn generations(reader: &mut Reader<Policy>) -> [Option<u32>; 2] {
    reader.quiesce();
    let models = &reader.borrow().models;
    [models.active(), models.previous()].map(|live| live.map(|generation| generation.number()))
}

#[test]
fn a_candidate_lives_on_through_reloads_that_leave_its_model_alone() {
    let (mut publication, submissions, mut reader) = start_with(configured("12bit", "10Mbps"));
    let now = Instant::now();
    assert_eq!(generations(&mut reader), [Some(1), None]);
    let mut result = |next| {
        let outcome = submit(&submissions, next);
        publication.tick(now, released, |_| {});
        (outcome.try_recv().unwrap().result, generations(&mut reader))
    };
    let (applied, refused) = (ReloadResult::Applied, ReloadResult::Refused);
    assert_eq!(result(Next::Model(Box::new(candidate(2)))), (applied, [Some(2), Some(1)]));
    // Of a number that is taken.
    assert_eq!(result(Next::Model(Box::new(candidate(2)))), (refused, [Some(2), Some(1)]));
    let same = Next::Policy(Box::new(configured("12bit", "10Mbps")));
    assert_eq!(result(same), (ReloadResult::Unchanged, [Some(2), Some(1)]));
    let settings = Next::Policy(Box::new(configured("12bit", "20Mbps")));
    assert_eq!(result(settings), (applied, [Some(2), Some(1)]));
    // The same integers as the candidate's, but now the operator wants them.
    assert_eq!(result(Next::Policy(Box::new(configured("8bit", "20Mbps")))), (applied, [Some(3), Some(2)]));
    assert_eq!(result(Next::Model(Box::new(candidate(3)))), (refused, [Some(3), Some(2)]));
    assert_eq!(result(Next::Model(Box::new(candidate(9)))), (applied, [Some(9), Some(3)]));
    assert_eq!(result(Next::Policy(Box::new(configured("12bit", "20Mbps")))), (applied, [Some(10), Some(9)]));
}

#[test]
fn a_candidate_needs_its_model_to_be_there() {
    let (mut publication, submissions, mut reader) = start_with(next("10Mbps"));
    let outcome = submit(&submissions, Next::Model(Box::new(candidate(5))));
    publication.tick(Instant::now(), released, |_| panic!("nothing was published"));
    assert_eq!(outcome.try_recv().unwrap().result, ReloadResult::Refused);
    assert_eq!(generations(&mut reader), [None, None]);
}

#[test]
fn while_the_epoch_refuses_a_reload_goes_before_candidates_and_the_newest_candidate_wins() {
    let (mut publication, submissions, mut reader) = start_with(configured("12bit", "10Mbps"));
    let now = Instant::now();
    reader.online();
    for number in 2..2 + weir_handoff::RETIRED_MAX as u32 {
        let outcome = submit(&submissions, Next::Model(Box::new(candidate(number))));
        publication.tick(now, released, |_| {});
        assert_eq!(outcome.try_recv().unwrap().result, ReloadResult::Applied);
    }
    let (older, newer) = (
        submit(&submissions, Next::Model(Box::new(candidate(100)))),
        submit(&submissions, Next::Model(Box::new(candidate(101)))),
    );
    publication.tick(now, released, |_| panic!("nothing was published"));
    let said = older.try_recv().unwrap();
    assert!(said.reasons[0].contains("newer candidate"), "{said:?}");
    assert!(newer.try_recv().is_err());

    let reload = submit(&submissions, Next::Policy(Box::new(configured("12bit", "30Mbps"))));
    let late = submit(&submissions, Next::Model(Box::new(candidate(102))));
    publication.tick(now, released, |_| panic!("nothing was published"));
    assert_eq!(newer.try_recv().unwrap().result, ReloadResult::Refused);
    assert!(late.try_recv().unwrap().reasons[0].contains("a reload waits"));
    reader.quiesce();
    publication.tick(now, released, |_| {});
    assert_eq!(reload.try_recv().unwrap().result, ReloadResult::Applied);
    assert_eq!(rate_max(&mut reader), 30_000_000);
    let last = 1 + weir_handoff::RETIRED_MAX as u32;
    assert_eq!(generations(&mut reader)[0], Some(last), "what was live before stays");
}

fn start() -> (Publication, Sender<Submission>, Reader<Policy>) {
    start_with(next("10Mbps"))
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
        let outcome = submit(&submissions, Next::Policy(Box::new(next(rate))));
        publication.tick(now, released, |_| {});
        assert_eq!(outcome.try_recv().unwrap().result, result);
        assert_eq!(publication.publisher.version(), version);
    }
    assert_eq!(rate_max(&mut reader), 20_000_000);
}

/// What flows of these limits share goes on across a reload that leaves them alone, and so does what they have counted.
#[test]
fn limits_that_a_reload_leaves_alone_keep_their_clocks() {
    let limited = |rate_max: &str, rate: &str| {
        let (plan, source) =
            plan(rate_max, &format!("[[pacing.limit]]\nname = \"all\"\nrate = \"{rate}\"\n"));
        NextPolicy::build(&plan, &source).unwrap()
    };
    let (mut publication, submissions, mut reader) = start_with(limited("10Mbps", "5Mbps"));
    let mut number = |publication: &mut Publication| {
        publication.tick(Instant::now(), released, |_| {});
        reader.quiesce();
        reader.borrow().pacing.as_ref().unwrap().limits.number()
    };
    let first = number(&mut publication);
    for (rate_max, rate, same) in
        [("10Mbps", "5Mbps", true), ("20Mbps", "5Mbps", true), ("20Mbps", "6Mbps", false)]
    {
        let _outcome = submit(&submissions, Next::Policy(Box::new(limited(rate_max, rate))));
        assert_eq!(number(&mut publication) == first, same, "{rate_max} {rate}");
    }
}

#[test]
fn a_stuck_worker_refuses_after_a_while_and_the_newest_wins_when_it_goes_on() {
    let (mut publication, submissions, mut reader) = start();
    let now = Instant::now();
    reader.online();
    // The epoch keeps so many replaced policies for a reader that does not move.
    for mbps in 11..11 + weir_handoff::RETIRED_MAX {
        let outcome = submit(&submissions, Next::Policy(Box::new(next(&format!("{mbps}Mbps")))));
        publication.tick(now, released, |_| {});
        assert_eq!(outcome.try_recv().unwrap().result, ReloadResult::Applied);
    }
    let submit = |rate: &str| submit(&submissions, Next::Policy(Box::new(next(rate))));
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

#[test]
fn a_third_generation_waits_until_flows_have_left_the_first_but_not_for_ever() {
    let (mut publication, submissions, _reader) = start_with(configured("8bit", "10Mbps"));
    let now = Instant::now();
    let submit =
        |precision: &str| submit(&submissions, Next::Policy(Box::new(configured(precision, "10Mbps"))));
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
    let outcome = self::submit(&submissions, Next::Policy(Box::new(configured("12bit", "20Mbps"))));
    publication.tick(now, |_| panic!("nothing is dropped"), |_| {});
    assert_eq!(outcome.try_recv().unwrap().result, ReloadResult::Applied);
}
