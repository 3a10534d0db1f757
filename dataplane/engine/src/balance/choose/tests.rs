use super::*;
use crate::balance::path::Health;

struct Case {
    settings: BalanceSettings,
    paths: Vec<PathState>,
    maglev: Maglev,
}

const NOW: Ns = Ns::from_secs(50);

impl Case {
    fn new(count: usize, rule: PathRule) -> Case {
        let settings =
            BalanceSettings { rule, hysteresis_q16: 100, tie_q16: 10, ..BalanceSettings::default() };
        let paths = (0..count).map(|_| PathState::new(Some(1_000_000_000), NOW)).collect();
        let mut case = Case { settings, paths, maglev: Maglev::new() };
        case.fill();
        case
    }

    fn fill(&mut self) {
        let names: Vec<u64> = (1..=self.paths.len() as u64).collect();
        self.maglev.fill(&names, &self.settings.weights);
    }

    fn chooser(&self) -> Chooser<'_> {
        let Case { settings, paths, maglev } = self;
        Chooser { settings, paths, maglev, base_rtt: 100_000, now: NOW }
    }

    fn counts(&self, current: Option<usize>, due: Due) -> Vec<usize> {
        let mut counts = vec![0; self.paths.len()];
        for hash in 0..10_000_u64 {
            counts[self.chooser().by_rule(split_mix(hash), 1, current, due)] += 1;
        }
        counts
    }
}

#[test]
fn new_flows_go_where_weights_drains_health_and_slow_start_let_them() {
    for rule in PathRule::ALL {
        let mut case = Case::new(4, rule);
        assert!(case.counts(None, Due::New).iter().all(|count| count.abs_diff(2_500) < 250), "{rule:?}");
        case.settings.weights = [1, 0, 1, 1, 1, 1, 1, 1];
        case.settings.drains[2] = true;
        case.paths[3].health = Health::Down;
        case.fill();
        assert_eq!(case.counts(None, Due::New), [10_000, 0, 0, 0], "{rule:?}");
        case.paths[3].health = Health::Returning(NOW);
        let slow = case.counts(None, Due::New);
        assert!((100..2_000).contains(&slow[3]) && slow[1] == 0 && slow[2] == 0, "{rule:?}: {slow:?}");
        // All down: as if all were up, but for what takes no flows anyway.
        case.paths.iter_mut().for_each(|path| path.health = Health::Down);
        let open = case.counts(None, Due::New);
        assert!(open[1] == 0 && open[2] == 0 && open[0] > 0 && open[3] > 0, "{rule:?}: {open:?}");
    }
}

#[test]
fn who_stays_and_who_moves() {
    use PathRule::{Ecmp, LetFlow, Maglev, Plb, PowerOfTwo};
    for (rule, due, moves) in [
        (Maglev, Due::Flowlet, false),
        (Ecmp, Due::Flowlet, false),
        (LetFlow, Due::Flowlet, true),
        (Plb, Due::Flowlet, false),
        (Plb, Due::Redraw, true),
        (PowerOfTwo, Due::Flowlet, false),
        (Maglev, Due::Redraw, false),
    ] {
        let counts = Case::new(3, rule).counts(Some(1), due);
        assert_eq!(counts[1] < 10_000, moves, "{rule:?} {due:?}: {counts:?}");
        // A path in drain keeps its flows.
        let mut case = Case::new(3, rule);
        case.settings.drains[1] = true;
        assert_eq!(case.counts(Some(1), due)[1] == 10_000, !moves, "{rule:?} {due:?}");
        // One that is down keeps none.
        let mut case = Case::new(3, rule);
        case.paths[1].health = Health::Down;
        assert_eq!(case.counts(Some(1), Due::Lost)[1], 0, "{rule:?}");
    }
}

#[test]
fn weights_are_met_and_a_path_that_goes_moves_its_own_flows_only() {
    let mut case = Case::new(3, PathRule::Maglev);
    case.settings.weights = [1, 2, 1, 0, 0, 0, 0, 0];
    case.fill();
    let before: Vec<usize> =
        (0..10_000).map(|hash| case.chooser().by_rule(split_mix(hash), 0, None, Due::New)).collect();
    assert!(before.iter().filter(|path| **path == 1).count().abs_diff(5_000) < 300);
    case.paths[1].health = Health::Down;
    for (hash, path) in before.into_iter().enumerate() {
        let now = case.chooser().by_rule(split_mix(hash as u64), 0, None, Due::New);
        assert!(now != 1 && (path == 1 || now == path));
    }
}

#[test]
fn of_two_the_less_congested() {
    let mut case = Case::new(2, PathRule::PowerOfTwo);
    for step in 0..100 {
        case.paths[0].on_rtt(Ns::from_millis(2), NOW + Ns(step * 1_000));
        case.paths[1].on_rtt(Ns::from_micros(110), NOW + Ns(step * 1_000));
    }
    assert_eq!(case.counts(None, Due::New), [0, 10_000]);
    let from_slow = case.counts(Some(0), Due::Flowlet);
    assert!(from_slow[1] > 4_000, "{from_slow:?}");
    assert_eq!(case.counts(Some(1), Due::Flowlet), [0, 10_000]);
}

#[test]
fn the_least_score_wins_unless_little_would_be_gained() {
    let case = Case::new(3, PathRule::Maglev);
    let choose = |scores: [i32; 3], current: Option<usize>| {
        let due = if current.is_none() { Due::New } else { Due::Flowlet };
        case.chooser().by_scores(&scores, (77, 3), current, due, 0)
    };
    assert_eq!(choose([900, 500, 800], None).path, 1);
    assert_eq!(choose([900, 500, 599], Some(2)).path, 2, "within the hysteresis");
    assert_eq!(choose([900, 500, 601], Some(2)).path, 1);
    assert_eq!(choose([900, 500, 601], Some(2)).probability_q16, 1 << 16);
    assert_eq!(choose([i32::MIN, i32::MAX, 0], Some(1)).path, 0);
}

#[test]
fn ties_are_drawn_so_that_hosts_do_not_herd() {
    let case = Case::new(3, PathRule::Maglev);
    let mut counts = [0; 3];
    for hash in 0..9_000 {
        let flow = (split_mix(hash), 0);
        counts[case.chooser().by_scores(&[500, 505, 900], flow, None, Due::New, 0).path] += 1;
    }
    assert!(counts[0] > 4_000 && counts[1] > 4_000 && counts[2] == 0, "{counts:?}");
}

#[test]
fn permuted_scores_give_the_permuted_path() {
    let case = Case::new(4, PathRule::Maglev);
    let scores = [700, 100, 900, 400];
    for turn in 0..4 {
        let mut turned = scores;
        turned.rotate_left(turn);
        assert_eq!(case.chooser().by_scores(&turned, (5, 0), None, Due::New, 0).path, (1 + 4 - turn) % 4);
    }
}

#[test]
fn exploration_has_the_probability_that_it_tells() {
    let case = Case::new(4, PathRule::Maglev);
    let mut counts = [0_u32; 4];
    for hash in 0..40_000 {
        let flow = (split_mix(hash), 0);
        let choice = case.chooser().by_scores(&[0, 1_000, 1_000, 1_000], flow, None, Due::New, 16_384);
        assert!(choice.path == 0 || choice.explored);
        assert_eq!(choice.choices, 4);
        assert_eq!(choice.probability_q16, if choice.path == 0 { 49_152 + 4_096 } else { 4_096 });
        counts[choice.path] += 1;
    }
    for count in &counts[1..] {
        // 1/16 of 40 000, six sigmas.
        assert!(count.abs_diff(2_500) < 300, "{counts:?}");
    }
}

#[test]
fn the_guard_keeps_flows_off_paths_that_may_not_be_taken() {
    let mut case = Case::new(3, PathRule::Maglev);
    case.paths[0].health = Health::Down;
    let choice = case.chooser().by_scores(&[-5_000, 100, 900], (5, 0), Some(0), Due::Lost, 0);
    assert_eq!((choice.path, choice.clamped), (1, true));
    case.settings.drains = [true; PATHS_MAX];
    let choice = case.chooser().by_scores(&[-5_000, 100, 900], (5, 0), Some(2), Due::Flowlet, 0);
    assert_eq!(choice.path, 2, "its own path keeps it");
    let choice = case.chooser().by_scores(&[-5_000, 100, 900], (5, 0), None, Due::New, 0);
    assert!(choice.path != 0, "one that is up, drain or not");
}
