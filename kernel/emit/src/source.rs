//! A snapshot as one C file.

use crate::golden::{Golden, VECTORS};
use crate::layer;
use crate::text::{Indented, identifier, list, literal, number};
use std::fmt::Write as _;
use weir_features::PacingSpec;
use weir_snapshot::{Executable, Executor, Function, Output, Snapshot, Unavailable};

/// The C of `snapshot`: constant tables, one function per layer, golden vectors. It includes `weir_snapshot.h`
/// ([`HEADERS`](crate::HEADERS)) and nothing else; in the kernel it is a module, in user space it has one function,
/// `weir_snapshot_code`.
///
/// `spec` is the feature definition behind the snapshot's schema hash. A function other than pacing has none here.
///
/// # Errors
/// None: the scalar executor, which makes the golden vectors, runs everywhere.
pub fn source(snapshot: &Snapshot, spec: Option<&PacingSpec>) -> Result<String, Unavailable> {
    let executable = Executable::new(snapshot.clone(), Executor::Scalar)?;
    let golden = Golden::new(&executable);
    let mut c = String::new();
    head(&mut c, snapshot);
    inputs(&mut c, snapshot);
    let count = snapshot.layers().len();
    for (at, parts) in snapshot.layers().iter().enumerate() {
        layer::write(&mut c, at, parts, snapshot.precision(), at + 1 == count);
    }
    infer(&mut c, snapshot);
    numbers(&mut c, "golden_features", &golden.features, snapshot.inputs());
    numbers(&mut c, "golden_results", &golden.results, snapshot.outputs());
    if let Some(spec) = spec.filter(|_| snapshot.function() == Function::Pacing) {
        definitions(&mut c, spec);
    }
    foot(&mut c, snapshot, spec.is_some() && snapshot.function() == Function::Pacing);
    Ok(c)
}

fn head(c: &mut String, snapshot: &Snapshot) {
    let mut widths = snapshot.inputs().to_string();
    for layer in snapshot.layers() {
        let _ = write!(widths, "-{}", layer.outputs);
    }
    let _ = write!(
        c,
        "// SPDX-License-Identifier: MIT OR GPL-2.0\n\
         /*\n * A snapshot as C: {} network, {widths}, {}, output {}, checksum {:08x}, schema {:016x}.\n\
         \x20* Emitted by `weir snapshot kernel`; another snapshot is another file.\n */\n\
         #include \"weir_snapshot.h\"\n\n",
        snapshot.function().name(),
        snapshot.precision().name(),
        snapshot.parts().output.name(),
        snapshot.checksum(),
        snapshot.schema_hash(),
    );
}

fn inputs(c: &mut String, snapshot: &Snapshot) {
    let parts = snapshot.parts();
    let _ = writeln!(
        c,
        "/* multiplier, offset, clip_lo, clip_hi, shift of each input */\n\
         static const struct weir_input inputs[{}] = {{",
        parts.inputs.len()
    );
    let rows = parts.inputs.iter().map(|input| {
        format!(
            "{{ {}, {}, {}, {}, {} }}",
            input.multiplier,
            number(input.offset),
            number(input.clip_lo),
            number(input.clip_hi),
            input.shift
        )
    });
    let (lo, hi) = parts.precision.value_range();
    let _ = write!(
        c,
        "{}}};\n\nstatic void quantise(const s32 *features, struct weir_scratch *scratch)\n{{\n\tu32 i;\n\n\
         \tfor (i = 0; i < {}; i++)\n\
         \t\tscratch->row[i] = weir_quantise(&inputs[i], features[i], {lo}, {hi});\n}}\n\n",
        Indented(1, &list(rows)),
        parts.inputs.len()
    );
}

fn infer(c: &mut String, snapshot: &Snapshot) {
    let parts = snapshot.parts();
    let outputs = parts.outputs.len();
    let _ = writeln!(
        c,
        "/* multiplier, offset, lo, hi, shift of each output */\n\
         static const struct weir_output outputs[{outputs}] = {{"
    );
    let rows = parts.outputs.iter().map(|output| {
        format!(
            "{{ {}, {}, {}, {}, {} }}",
            output.multiplier,
            number(output.offset),
            number(output.lo),
            number(output.hi),
            output.shift
        )
    });
    let _ = write!(
        c,
        "{}}};\n\nstatic void infer(struct weir_scratch *scratch, s32 *out)\n{{\n\
         \ts32 *values = scratch->values;\n\tu32 i;\n\n",
        Indented(1, &list(rows))
    );
    let (mut before, mut after) = ("row", "next");
    for at in 0..parts.layers.len() {
        if at + 1 == parts.layers.len() {
            let _ = writeln!(c, "\tlayer_{at}(scratch->{before}, values);");
        } else {
            let _ = writeln!(c, "\tlayer_{at}(scratch->{before}, scratch->{after});");
        }
        std::mem::swap(&mut before, &mut after);
    }
    let target = if parts.output == Output::Linear { "out" } else { "values" };
    let _ = write!(
        c,
        "\tfor (i = 0; i < {outputs}; i++)\n\t\t{target}[i] = weir_to_q16(&outputs[i], values[i]);\n{}}}\n\n",
        match parts.output {
            Output::Linear => String::new(),
            Output::Softmax => format!("\tweir_softmax(values, out, {outputs});\n"),
            Output::ArgMax => format!("\tout[0] = (s32)(weir_argmax(values, {outputs}) << 16);\n"),
        }
    );
}

fn numbers(c: &mut String, name: &str, numbers: &[i32], width: usize) {
    let _ = writeln!(c, "static const s32 {name}[{VECTORS} * {width}] = {{");
    let items = numbers.iter().copied().map(number);
    let _ = write!(c, "{}}};\n\n", Indented(1, &list(items)));
}

/// `struct weir_spec` as a C initialiser, for the definitions of `spec`.
fn spec_initialiser(spec: &PacingSpec) -> String {
    let clips = spec.clips.map(|(lo, hi)| format!("{{ {lo}, {hi} }}")).join(", ");
    format!(
        "{{\n\t.rtt_floor_ns = {}ull,\n\t.interval_min_ns = {}ull,\n\t.interval_max_ns = {}ull,\n\
         \t.interval_rtt_q8 = {},\n\t.interval_packets_min = {},\n\t.clips = {{ {clips} }},\n}}",
        spec.rtt_floor_ns,
        spec.interval_min_ns,
        spec.interval_max_ns,
        spec.interval_rtt_q8,
        spec.interval_packets_min,
    )
}

fn definitions(c: &mut String, spec: &PacingSpec) {
    let _ = write!(
        c,
        "/* The features that the schema hash names. */\nstatic const struct weir_spec spec = {};\n\n",
        spec_initialiser(spec)
    );
}

fn foot(c: &mut String, snapshot: &Snapshot, spec: bool) {
    let function = match snapshot.function() {
        Function::Pacing => "WEIR_PACING",
        Function::Balance => "WEIR_BALANCE",
        Function::Schedule => "WEIR_SCHEDULE",
    };
    let _ = write!(
        c,
        "static const struct weir_code code = {{\n\
         \t.name = {},\n\t.function = {function},\n\t.inputs = {},\n\t.outputs = {},\n\
         \t.checksum = 0x{:08x},\n\t.schema_hash = 0x{:016x}ull,\n{}\
         \t.quantise = quantise,\n\t.infer = infer,\n\
         \t.golden = {VECTORS},\n\t.golden_features = golden_features,\n\t.golden_results = golden_results,\n}};\n\n\
         WEIR_SNAPSHOT(code);\n",
        literal(snapshot.name()),
        snapshot.inputs(),
        snapshot.outputs(),
        snapshot.checksum(),
        snapshot.schema_hash(),
        if spec { "\t.spec = &spec,\n" } else { "" },
    );
}

/// The name of the module that [`source`] is: `weir_snap_` and the snapshot's name.
pub fn module_name(snapshot: &Snapshot) -> String {
    format!("weir_snap_{}", identifier(snapshot.name()))
}
