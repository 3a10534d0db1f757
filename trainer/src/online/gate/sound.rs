//! *Valid*, of floats: what is no network cannot be compared with one, so this comes before any comparison.

use super::{Refusal, Terms};
use crate::network::{Network, Output};
use weir_snapshot::{LAYERS, WIDTH_MAX};

/// Whether the network can be evaluated and stands for the model: shapes chain, every number is finite (also as f32,
/// which is what files hold), inputs and outputs are as many as the datapath has.
pub fn sound(network: &Network, terms: &Terms) -> Result<(), Refusal> {
    let shape = |reason: String| Err(Refusal::Shape(reason));
    if !LAYERS.contains(&network.layers.len()) {
        return shape(format!("{} layers, a snapshot has {LAYERS:?}", network.layers.len()));
    }
    let mut width = terms.inputs.len();
    for (index, layer) in network.layers.iter().enumerate() {
        let number = index + 1;
        if layer.inputs != width {
            return shape(format!("layer {number} takes {} values, it is given {width}", layer.inputs));
        }
        if layer.outputs == 0 || layer.outputs > WIDTH_MAX {
            return shape(format!("layer {number} gives {} values, 1 to {WIDTH_MAX} can be", layer.outputs));
        }
        if (layer.weights.len(), layer.bias.len()) != (layer.inputs * layer.outputs, layer.outputs) {
            return shape(format!(
                "layer {number} has {} weights and {} biases for {} to {}",
                layer.weights.len(),
                layer.bias.len(),
                layer.inputs,
                layer.outputs
            ));
        }
        if !layer.weights.iter().chain(&layer.bias).all(|value| (*value as f32).is_finite()) {
            return Err(Refusal::NotFinite { layer: number });
        }
        width = layer.outputs;
    }
    if network.output != terms.output || network.outputs() != terms.outputs {
        let name = |output: Output| match output {
            Output::Linear => "linear",
            Output::Softmax => "softmax",
            Output::ArgMax => "argmax",
        };
        return shape(format!(
            "gives {} {} values, the model {} {}",
            network.outputs(),
            name(network.output),
            terms.outputs,
            name(terms.output)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{network, terms};
    use super::*;

    #[test]
    fn the_model_itself_is_sound() {
        assert_eq!(sound(&network(1), &terms()), Ok(()));
    }

    #[test]
    fn numbers_that_are_none_name_their_layer() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e39] {
            for layer in 0..3 {
                let mut candidate = network(1);
                candidate.layers[layer].weights[3] = bad;
                assert_eq!(sound(&candidate, &terms()), Err(Refusal::NotFinite { layer: layer + 1 }));
                let mut candidate = network(1);
                candidate.layers[layer].bias[0] = bad;
                assert_eq!(sound(&candidate, &terms()), Err(Refusal::NotFinite { layer: layer + 1 }));
            }
        }
    }

    #[test]
    fn what_does_not_chain_has_another_width_or_lies_about_its_size_is_no_network() {
        let spoilt: [fn(&mut Network); 9] = [
            |n| n.layers.clear(),
            |n| drop(n.layers.remove(1)),
            |n| n.layers.truncate(2),
            |n| n.layers[0].inputs = 0,
            |n| n.layers[1].outputs = 0,
            |n| n.layers[2].weights.truncate(3),
            |n| n.layers[0].bias.push(0.0),
            |n| n.output = Output::Softmax,
            |n| n.layers.extend((0..20).map(|_| n.layers[2].clone()).collect::<Vec<_>>()),
        ];
        for (which, spoil) in spoilt.iter().enumerate() {
            let mut candidate = network(1);
            spoil(&mut candidate);
            assert!(matches!(sound(&candidate, &terms()), Err(Refusal::Shape(_))), "{which}");
        }
    }
}
