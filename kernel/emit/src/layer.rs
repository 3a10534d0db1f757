//! One layer: its tables and its function.

use crate::lanes::Lanes;
use crate::text::{Indented, list};
use std::fmt::Write as _;
use weir_snapshot::{Activation, LayerParts, Precision};

/// Writes the tables and the function of layer `at`; the last one writes 32-bit values, the others quantised ones.
pub(crate) fn write(c: &mut String, at: usize, layer: &LayerParts, precision: Precision, last: bool) {
    let (lanes, bound) = Lanes::of(layer, precision);
    let groups = layer.outputs.div_ceil(lanes.count);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        c,
        "/*\n * Layer {at}: {} -> {}, {}. {} sums to a word, {} bits apart: no sum of products exceeds {bound}, and the\n \
         * limit is {}.\n */",
        layer.inputs,
        layer.outputs,
        layer.activation.name(),
        lanes.count,
        lanes.bits,
        lanes.half() - 1,
    );
    let _ = writeln!(c, "static const s64 weights_{at}[{groups}][{}] = {{", layer.inputs);
    for group in 0..groups {
        let words = (0..layer.inputs).map(|input| word(layer, lanes, group, input));
        let _ = write!(c, "\t{{\n{}\t}},\n", Indented(2, &list(words)));
    }
    let _ = writeln!(c, "}};\n\nstatic const struct weir_unit units_{at}[{}] = {{", groups * lanes.count);
    let units = (0..groups * lanes.count).map(|output| unit(layer, lanes, output));
    let _ = write!(c, "{}}};\n\n", Indented(1, &list(units)));
    function(c, at, layer, precision, last, lanes);
}

/// The weights of one input for the outputs of a group.
fn word(layer: &LayerParts, lanes: Lanes, group: usize, input: usize) -> String {
    let weights = (0..lanes.count).map(|lane| {
        let output = group * lanes.count + lane;
        if output < layer.outputs { layer.weights[output * layer.inputs + input] } else { 0 }
    });
    format!("WEIR_W{}({})", lanes.count, weights.map(|w| w.to_string()).collect::<Vec<_>>().join(", "))
}

/// What follows the sum of an output; of one that only fills a word, zeros.
fn unit(layer: &LayerParts, lanes: Lanes, output: usize) -> String {
    if output >= layer.outputs {
        return "{ 0, 0, 0 }".to_owned();
    }
    let (shift, multiplier) = (layer.shift[output], layer.multiplier[output]);
    let rounding = if shift > 0 { 1_u32 << (shift - 1) } else { 0 };
    let bias = (layer.bias[output] as u32).wrapping_add(rounding).wrapping_sub(lanes.half());
    format!("{{ {bias}u, {multiplier}, {shift} }}")
}

fn function(c: &mut String, at: usize, layer: &LayerParts, precision: Precision, last: bool, lanes: Lanes) {
    let groups = layer.outputs.div_ceil(lanes.count);
    let (count, bits) = (lanes.count, lanes.bits);
    let result = if last { "s32" } else { "s16" };
    let _ = write!(
        c,
        "static void layer_{at}(const s16 *x, {result} *y)\n{{\n\
         \tconst struct weir_unit *unit = units_{at};\n\tu32 group;\n\n\
         \tfor (group = 0; group < {groups}; group++, unit += {count}, y += {count}) {{\n\
         \t\tu64 sums = weir_sums(weights_{at}[group], x, {}, WEIR_LANES_{bits});\n\n",
        layer.inputs
    );
    for lane in 0..count {
        let sum = format!("WEIR_LANE_{bits}(sums, {lane})");
        let value = if last && layer.activation == Activation::Identity {
            format!("(s32)({sum} + unit[{lane}].bias)")
        } else {
            let rescale = if layer.shift.iter().all(|&shift| shift >= 0) {
                "weir_rescale_right"
            } else {
                "weir_rescale"
            };
            activated(layer.activation, precision, last, &format!("{rescale}({sum}, &unit[{lane}])"))
        };
        let _ = writeln!(c, "\t\ty[{lane}] = {value};");
    }
    c.push_str("\t}\n}\n\n");
}

/// The activation of `t`.
fn activated(activation: Activation, precision: Precision, last: bool, t: &str) -> String {
    let value = match (activation, last, precision) {
        (Activation::Tanh | Activation::Sigmoid, true, _) => return format!("weir_parabola({t})"),
        (Activation::Tanh | Activation::Sigmoid, false, Precision::Bits8) => {
            return format!("weir_line({t})");
        }
        (Activation::Tanh | Activation::Sigmoid, false, Precision::Bits12) => {
            return format!("weir_parabola_hidden({t})");
        }
        (Activation::Identity, ..) => t.to_owned(),
        (Activation::Relu { zero }, ..) => format!("weir_relu({t}, {zero})"),
        (Activation::LeakyRelu { zero, slope }, ..) => format!("weir_leaky_relu({t}, {zero}, {slope})"),
        // In range by the decoder's word.
        (Activation::Clip { lo, hi } | Activation::HardSigmoid { lo, hi }, ..) => {
            return format!("weir_clamp({t}, {lo}, {hi})");
        }
    };
    if last {
        return value;
    }
    let (lo, hi) = precision.value_range();
    format!("weir_clamp({value}, {lo}, {hi})")
}
