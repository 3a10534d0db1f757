//! The peer: a network as C, in the shape in which LiteFlow's generator writes it.
//!
//! What that shape is: one function per layer, one unrolled expression per neuron with the weights as literals, all
//! arithmetic in 64 bits, the input's offset added inside every product, a real factor as four decimal digits over
//! 10 000 and a power of two, tanh as a table of 300 entries over [0, 3), and a list of layers that is walked with an
//! indirect call each. Per-tensor 8-bit quantisation, as TFLite has it. The generator here is our own and shares no
//! text with LiteFlow's.
//!
//! Where the original loses without gaining speed, this one does not: its table holds quantised results, not
//! hundredths, and its input ranges are not cut to integers. So the figures are of the shape at its best.
//!
//! [`Model`] holds the integers, [`Model::run`] says what they mean, [`emit`](fn@emit) writes the C, and the bench holds
//! what the compiled C computes to [`Model::run`], bit for bit.

mod compile;
mod emit;
mod model;

pub(crate) use compile::{Compiled, Compiler, Entry, compilers};
pub(crate) use emit::emit;
pub(crate) use model::Model;

#[cfg(test)]
mod tests {
    use super::*;
    use weir_trainer::network::{Activation, Layer, Network, Output};

    /// 3-4-2-1, with numbers that have no pattern.
    fn network() -> Network {
        let mut state = 1_u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 23) - 1.0
        };
        let layers = [(3, 4), (4, 2), (2, 1)].map(|(inputs, outputs)| Layer {
            inputs,
            outputs,
            weights: (0..inputs * outputs).map(|_| number()).collect(),
            bias: (0..outputs).map(|_| number()).collect(),
            activation: if outputs == 1 { Activation::Identity } else { Activation::Tanh },
        });
        Network { layers: layers.to_vec(), output: Output::Linear }
    }

    fn features() -> Vec<Vec<i32>> {
        (0..500)
            .map(|at| (0..3).map(|input| ((at * 37 + input * 101) % 400 - 150) * 1000).collect())
            .collect()
    }

    fn model(network: &Network) -> Model {
        let inputs: Vec<Vec<f64>> =
            features().iter().map(|row| row.iter().map(|&x| f64::from(x) / 65_536.0).collect()).collect();
        Model::new(network, &inputs).expect("a network of tanh")
    }

    #[test]
    fn the_integers_mean_the_network() {
        let network = network();
        let model = model(&network);
        let (mut error, mut size) = (0.0, 0.0);
        for row in features() {
            let inputs: Vec<f64> = row.iter().map(|&x| f64::from(x) / 65_536.0).collect();
            let exact = network.evaluate(&inputs)[0];
            error += (model.run(&model.quantise(&row))[0] as f64 / 65_536.0 - exact).abs();
            size += exact.abs();
        }
        assert!(size > 50.0 && error < 0.05 * size, "error {error}, size {size}");
    }

    #[test]
    fn the_compiled_c_gives_its_integers() {
        let (compilers, missing) = compilers();
        if compilers.is_empty() {
            let required = std::env::var_os("WEIR_REQUIRE_ALL").is_some_and(|value| value == "1");
            assert!(!required, "{missing:?}");
            eprintln!("SKIPPED compiling the generated C: {missing:?}");
            return;
        }
        let model = model(&network());
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("liteflow.c");
        std::fs::write(&source, emit(&model)).expect("written");
        for compiler in compilers {
            for compiled in compiler.compile(&source, folder.path(), 3, 1).expect("compiles") {
                for row in features() {
                    let meant = model.run(&model.quantise(&row));
                    let wide: Vec<i64> = row.iter().map(|&x| x.into()).collect();
                    let (mut from_row, mut from_features) = ([0], [0]);
                    compiled.from_row.call(&model.quantise(&row), &mut from_row);
                    compiled.from_features.call(&wide, &mut from_features);
                    assert_eq!(
                        (&from_row[..], &from_features[..]),
                        (&meant[..], &meant[..]),
                        "{}",
                        compiled.name
                    );
                }
            }
        }
    }

    #[test]
    fn another_activation_is_refused() {
        let mut network = network();
        network.layers[0].activation = Activation::Relu;
        assert!(Model::new(&network, &[vec![1.0; 3]]).is_err());
    }
}
