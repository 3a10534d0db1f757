//! *Valid*, of integers: the bytes decode (shapes chain, no accumulator can overflow) and are of the model in question.

use super::{Refusal, Terms};
use weir_snapshot::{Function, Snapshot};

/// The snapshot that the bytes are, if it is one for `terms`.
pub fn valid(bytes: &[u8], terms: &Terms) -> Result<Snapshot, Refusal> {
    let snapshot = Snapshot::decode(bytes).map_err(Refusal::Invalid)?;
    let equal = |what, expected: String, found: String| match expected == found {
        true => Ok(()),
        false => Err(Refusal::Foreign { what, expected, found }),
    };
    let function = |function: Function| function.name().to_owned();
    equal("function", function(terms.function), function(snapshot.function()))?;
    let schema = |hash: u64| format!("{hash:016x}");
    equal("schema", schema(terms.schema_hash), schema(snapshot.schema_hash()))?;
    let shape = |inputs: usize, outputs: usize| format!("{inputs} to {outputs}");
    let found = shape(snapshot.inputs(), snapshot.outputs());
    equal("shape", shape(terms.inputs.len(), terms.outputs), found)?;
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::super::precise::calibrated;
    use super::super::tests::{examples, network, terms};
    use super::*;
    use crate::rng::Rng;
    use weir_snapshot::Precision;

    fn bytes(terms: &Terms) -> Vec<u8> {
        calibrated(&network(1), Precision::Bits8, terms, &examples()).unwrap()
    }

    #[test]
    fn no_changed_or_cut_byte_passes() {
        let good = bytes(&terms());
        assert!(valid(&good, &terms()).is_ok());
        let mut rng = Rng::new(3);
        for _ in 0..300 {
            let mut flipped = good.clone();
            flipped[rng.below(good.len())] ^= 1 << rng.below(8);
            assert!(matches!(valid(&flipped, &terms()), Err(Refusal::Invalid(_))));
            let cut = &good[..rng.below(good.len())];
            assert!(matches!(valid(cut, &terms()), Err(Refusal::Invalid(_))));
        }
    }

    #[test]
    fn what_was_made_for_something_else_is_named() {
        let others = [
            (Terms { function: Function::Schedule, ..terms() }, "function"),
            (Terms { schema_hash: terms().schema_hash ^ 1, ..terms() }, "schema"),
        ];
        for (other, expected) in others {
            let refused = valid(&bytes(&other), &terms());
            assert!(matches!(refused, Err(Refusal::Foreign { what, .. }) if what == expected), "{refused:?}");
        }
        let mut wider = terms();
        wider.outputs = 2;
        let refused = valid(&bytes(&terms()), &wider);
        assert!(matches!(refused, Err(Refusal::Foreign { what: "shape", .. })), "{refused:?}");
    }
}
