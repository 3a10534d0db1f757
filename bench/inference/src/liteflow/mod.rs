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
//! [`Model`] holds the integers, [`Model::run`] says what they mean, [`emit`](fn@emit) writes the C, and the bench holds what the
//! compiled C computes to [`Model::run`], bit for bit.

mod compile;
mod emit;
mod model;

pub(crate) use compile::{Compiled, Compiler, Entry, compilers};
pub(crate) use emit::emit;
pub(crate) use model::Model;
