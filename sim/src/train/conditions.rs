//! Where a network that chooses paths is trained and judged: fabrics that are whole, have a slow link, or lose frames at a spine.

use crate::experiment::{FabricCase, FabricExperiment, FabricScheme, Fault};
use crate::fabric::FabricConfig;
use crate::random;
use crate::tcp::CongestionKind;
use crate::workload::{Sizes, SizesError};
use weir_engine::time::Ns;
use weir_engine::wire::IpVersion;

/// Sizes of web search (DCTCP) and of data mining (VL2, capped, as in the experiments).
const WEB_SEARCH: &str = include_str!("../../../conf/workloads/web-search.csv");
const DATA_MINING: &str = include_str!("../../../conf/workloads/data-mining.csv");
const CAP: u64 = 100_000_000;

/// One condition: a fabric with its traffic, and what is wrong with it.
pub(super) struct Condition {
    pub(super) fabric: FabricExperiment,
    pub(super) case: FabricCase,
    pub(super) seed: u64,
}

fn fabric(workload: &str, arrivals: Ns, schemes: Vec<FabricScheme>) -> Result<FabricExperiment, SizesError> {
    Ok(FabricExperiment {
        fabric: FabricConfig::default(),
        sizes: Sizes::parse(workload, Some(CAP))?,
        arrivals,
        warm_up: Ns::ZERO,
        drain: Ns::from_secs(2),
        congestion: CongestionKind::Dctcp,
        version: IpVersion::V6,
        rto_min: Ns::from_millis(10),
        conditions: Vec::new(),
        schemes,
    })
}

/// Conditions to learn from in a round: faults of random places and sizes at random loads.
///
/// # Errors
/// A table of sizes is none: a defect.
pub(super) fn to_learn_from(seed: u64, round: u64, arrivals: Ns) -> Result<Vec<Condition>, SizesError> {
    let mut rng = random::stream(seed, "conditions", round);
    let FabricConfig { leaves, spines, .. } = FabricConfig::default();
    let mut conditions = Vec::new();
    for number in 0..6 {
        let workload = if number == 5 { DATA_MINING } else { WEB_SEARCH };
        let (leaf, spine) = (rng.below(leaves.into()) as u16, rng.below(spines.into()) as u16);
        let share = rng.unit();
        let fault = match number % 3 {
            0 => Fault::None,
            1 => Fault::Slow { links: vec![(leaf, spine)], factor: 0.1 + 0.4 * share, at: Ns::ZERO },
            _ => Fault::Lossy { spine, loss: 0.002 + 0.01 * share, at: Ns::ZERO },
        };
        let load = 0.3 + 0.5 * rng.unit();
        let case = FabricCase { name: String::new(), load, fault };
        let seed = random::stream(seed, "worlds", 64 * round + number).bits() >> 1;
        conditions.push(Condition { fabric: fabric(workload, arrivals, Vec::new())?, case, seed });
    }
    Ok(conditions)
}

/// Conditions of the experiments, on whose means networks are judged, with seeds of their own: those of the experiments are
/// small numbers.
///
/// # Errors
/// As [`to_learn_from`].
pub(super) fn to_judge(arrivals: Ns, schemes: Vec<FabricScheme>) -> Result<FabricExperiment, SizesError> {
    let case = |name: &str, fault| FabricCase { name: name.to_owned(), load: 0.6, fault };
    let mut judged = fabric(WEB_SEARCH, arrivals, schemes)?;
    judged.conditions = vec![
        case("symmetric", Fault::None),
        case("asymmetric", Fault::Slow { links: vec![(0, 0)], factor: 0.2, at: Ns::ZERO }),
        case("grey failure", Fault::Lossy { spine: 0, loss: 0.005, at: Ns::ZERO }),
    ];
    Ok(judged)
}
