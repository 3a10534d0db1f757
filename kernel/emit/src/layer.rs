//! One layer: its tables and its function.

use crate::lanes::{Lanes, lift, rounding};
use crate::text::{Indented, list};
use std::fmt::Write as _;
use weir_snapshot::{Activation, LayerParts, Precision};

/// A multiplier from here on lets a curve do without the saturation of the sum: see `weir_scaled_wide`.
const WIDE_MULTIPLIER: i16 = 1 << 14;

/// Writes the tables and the function of layer `at`; the last one writes 32-bit values, the others quantised ones.
pub(crate) fn write(c: &mut String, at: usize, layer: &LayerParts, precision: Precision, last: bool) {
    let (lanes, bound) = Lanes::of(layer, precision);
    let words = layer.outputs.div_ceil(lanes.count);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        c,
        "/*\n * Layer {at}: {} -> {}, {}. {} sums to a word, {} bits apart: no sum exceeds {bound}, and the limit is {}.\n */",
        layer.inputs,
        layer.outputs,
        layer.activation.name(),
        lanes.count,
        lanes.bits,
        lanes.half() - 1,
    );
    let _ = writeln!(c, "static const s64 weights_{at}[{words} * {}] = {{", layer.inputs);
    for word in 0..words {
        let outputs = word * lanes.count;
        let through = (outputs + lanes.count).min(layer.outputs) - 1;
        let weights = (0..layer.inputs).map(|input| {
            let weight =
                |output| i32::from(layer.weights[output * layer.inputs + input]) << lift(layer, output);
            packed('W', layer, lanes, word, weight)
        });
        let _ = write!(c, "\t/* outputs {outputs} to {through} */\n{}", Indented(1, &list(weights)));
    }
    let _ = writeln!(
        c,
        "}};\n\n/* the biases, with the rounding terms */\nstatic const u64 starts_{at}[{words}] = {{"
    );
    let starts = (0..words).map(|word| {
        let start = |output| (layer.bias[output] << lift(layer, output)) + rounding(layer, output);
        packed('S', layer, lanes, word, start)
    });
    let _ = writeln!(
        c,
        "{}}};\n\n/* mask, base, multiplier, shift */\nstatic const struct weir_unit units_{at}[{}] = {{",
        Indented(1, &list(starts)),
        words * lanes.count
    );
    let units = (0..words * lanes.count).map(|output| unit(layer, lanes, output));
    let _ = write!(c, "{}}};\n\n", Indented(1, &list(units)));
    function(c, at, layer, precision, last, lanes);
}

/// A number of each output of a word; 0 where there is no such output.
fn packed(
    kind: char,
    layer: &LayerParts,
    lanes: Lanes,
    word: usize,
    number: impl Fn(usize) -> i32,
) -> String {
    let outputs = word * lanes.count..(word + 1) * lanes.count;
    let numbers = outputs.map(|output| if output < layer.outputs { number(output) } else { 0 });
    format!("WEIR_{kind}{}({})", lanes.count, numbers.map(|n| n.to_string()).collect::<Vec<_>>().join(", "))
}

/// What follows the sum of an output; of one that only fills a word, zeros.
fn unit(layer: &LayerParts, lanes: Lanes, output: usize) -> String {
    if output >= layer.outputs {
        return "{ 0, 0, 0, 0 }".to_owned();
    }
    let down = layer.shift[output].max(0) as u32;
    // The rounding term is within the lane's bound, so `down` is less than its bits, and `base` exact.
    let mask = u32::MAX >> (32 - lanes.bits + down);
    let shift = lanes.bits * (output % lanes.count) as u32 + down;
    format!("{{ 0x{mask:x}, 0x{:x}, {}, {shift} }}", lanes.half() >> down, layer.multiplier[output])
}

fn function(c: &mut String, at: usize, layer: &LayerParts, precision: Precision, last: bool, lanes: Lanes) {
    let Lanes { count, .. } = lanes;
    let (inputs, words) = (layer.inputs, layer.outputs.div_ceil(count));
    let result = if last { "s32" } else { "s16" };
    let _ = write!(
        c,
        "static inline {result} finish_{at}(u64 word, const struct weir_unit *unit)\n{{\n\treturn {};\n}}\n\n\
         static void layer_{at}(const s16 *x, {result} *y)\n{{\n\
         \tconst struct weir_unit *unit = units_{at};\n\tu64 sums[2];\n",
        finished(layer, precision, last)
    );
    let finish = |c: &mut String, indent: &str, sum: usize, from: usize| {
        for lane in 0..count {
            let output = from + lane;
            let _ = writeln!(c, "{indent}y[{output}] = finish_{at}(sums[{sum}], unit + {output});");
        }
    };
    if words > 1 {
        let _ = write!(
            c,
            "\tu32 word;\n\n\tfor (word = 0; word + 2 <= {words}; word += 2, unit += {0}, y += {0}) {{\n\
             \t\tsums[0] = starts_{at}[word];\n\t\tsums[1] = starts_{at}[word + 1];\n\
             \t\tweir_sums_two(weights_{at} + word * {inputs}, x, {inputs}, sums);\n",
            2 * count
        );
        finish(c, "\t\t", 0, 0);
        finish(c, "\t\t", 1, count);
        c.push_str("\t}\n");
    } else {
        c.push('\n');
    }
    if words % 2 == 1 {
        let last_word = words - 1;
        let _ = writeln!(
            c,
            "\tsums[0] = weir_sums(weights_{at} + {last_word} * {inputs}, x, {inputs}, starts_{at}[{last_word}]);"
        );
        finish(c, "\t", 0, 0);
    }
    c.push_str("}\n\n");
}

/// The value behind the sum in lane `unit` of `word`.
fn finished(layer: &LayerParts, precision: Precision, last: bool) -> String {
    if last && layer.activation == Activation::Identity {
        return "weir_sum(word, unit)".to_owned();
    }
    let t = "weir_scaled(word, unit)";
    let value = match layer.activation {
        Activation::Tanh | Activation::Sigmoid => {
            let wide = layer.multiplier.iter().all(|&multiplier| multiplier >= WIDE_MULTIPLIER);
            let t = if wide { "weir_scaled_wide(word, unit)".to_owned() } else { format!("{t} * 32768LL") };
            let curve = match (last, precision) {
                (true, _) => "weir_parabola",
                (false, Precision::Bits8) => "weir_line",
                (false, Precision::Bits12) => "weir_parabola_hidden",
            };
            return format!("{curve}({t})");
        }
        // In range by the decoder's word.
        Activation::Clip { lo, hi } | Activation::HardSigmoid { lo, hi } => {
            return format!("weir_clamp({t}, {lo}, {hi})");
        }
        Activation::Identity => t.to_owned(),
        Activation::Relu { zero } => format!("weir_relu({t}, {zero})"),
        Activation::LeakyRelu { zero, slope } => format!("weir_leaky_relu({t}, {zero}, {slope})"),
    };
    if last {
        return value;
    }
    let (lo, hi) = precision.value_range();
    format!("weir_clamp({value}, {lo}, {hi})")
}
