//! `weir snapshot build | inspect | verify | kernel`.

use crate::config;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use weir_features::{HISTORY, PacingSpec, PathSpec, SizeSpec};
use weir_snapshot::{FILE_BYTES_MAX, Function, NAME_BYTES_MAX, Precision, Snapshot};
use weir_trainer::ort_engine::Engine;
use weir_trainer::reward::Preference;
use weir_trainer::verify::Errors;
use weir_trainer::{InputSpec, ModelSpec, spec, verify};

/// Stated bounds on the mean, the 99th percentile and the largest difference from the float network, as shares of the
/// standard deviation of its output: how much of what the network says is lost.
struct Bounds {
    mean: f64,
    p99: f64,
    max: f64,
}
const BOUNDS_8BIT: Bounds = Bounds { mean: 0.02, p99: 0.08, max: 0.25 };
/// A sixteenth of the step, with a margin.
const BOUNDS_12BIT: Bounds = Bounds { mean: 0.002, p99: 0.01, max: 0.03 };
/// Ours in f64 against ONNX Runtime in f32: rounding only.
const REFERENCE_MAX: f64 = 1e-3;

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The ONNX file; its inputs are taken as Aurora's features in ten intervals with the usual clips.
    #[arg(required_unless_present = "config", conflicts_with_all = ["config", "model"])]
    onnx: Option<PathBuf>,
    /// Take the model's file, inputs and precision from this configuration.
    #[arg(long, requires = "model")]
    config: Option<PathBuf>,
    /// The name of a [[model]] in the configuration.
    #[arg(long, requires = "config")]
    model: Option<String>,
    /// Bits of weights and values.
    #[arg(long, value_parser = ["8bit", "12bit"], default_value = "8bit", conflicts_with = "config")]
    precision: String,
    /// For a network that takes a preference: weights of throughput, latency and loss, as in `0.6,0.3,0.1`.
    #[arg(long, value_name = "WEIGHTS", value_parser = preference, conflicts_with = "config")]
    preference: Option<Preference>,
    /// Where to write the snapshot.
    #[arg(short, long)]
    out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// The snapshot.
    snapshot: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The snapshot.
    snapshot: PathBuf,
    /// The ONNX file that it was made from.
    #[arg(long)]
    onnx: PathBuf,
    /// Where the inputs have scales or offsets: the configuration that the snapshot was built from.
    #[arg(long, requires = "model")]
    config: Option<PathBuf>,
    /// The name of the [[model]] in it.
    #[arg(long, requires = "config")]
    model: Option<String>,
    /// The preference that it was built for, where it has one: weights of throughput, latency and loss.
    #[arg(long, value_name = "WEIGHTS", value_parser = preference, conflicts_with = "config")]
    preference: Option<Preference>,
    /// Rows to compare, drawn evenly from the clip box.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rows: u32,
    /// Seed of the rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// ONNX Runtime's library; without it WEIR_ORT_LIB, then third_party/ort, and no comparison if there is none.
    #[arg(long, value_name = "LIB")]
    ort: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KernelArgs {
    #[command(flatten)]
    source: KernelSource,
    /// The folder to write. Files of these names in it are replaced, others stay.
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
}

/// A snapshot for the kernel, of any function.
#[derive(Debug, Args)]
pub(crate) struct KernelSource {
    /// The snapshot.
    snapshot: PathBuf,
    /// Where the inputs have scales, offsets or an interval rule of their own: the configuration that the snapshot was built
    /// from.
    #[arg(long, requires = "model")]
    config: Option<PathBuf>,
    /// The name of the [[model]] in it.
    #[arg(long, requires = "config")]
    model: Option<String>,
}

/// A pacing network of the command line: as a snapshot, or to be made one.
#[cfg(feature = "bpf")]
#[derive(Debug, Args)]
pub(crate) struct Source {
    /// The snapshot.
    #[arg(long, value_name = "FILE", required_unless_present = "model", conflicts_with = "model")]
    snapshot: Option<PathBuf>,
    /// The ONNX file; its inputs are taken as Aurora's features in ten intervals with the usual clips.
    #[arg(long, value_name = "ONNX")]
    model: Option<PathBuf>,
    /// Bits of weights and values.
    #[arg(long, value_parser = ["8bit", "12bit"], default_value = "8bit", conflicts_with = "snapshot")]
    precision: String,
    /// For a network that takes a preference: weights of throughput, latency and loss, as in `0.6,0.3,0.1`.
    #[arg(long, value_name = "WEIGHTS", value_parser = preference, conflicts_with = "snapshot")]
    preference: Option<Preference>,
}

/// The snapshot, and the definitions of the features that it is shown: the usual ones, as its schema hash says.
#[cfg(feature = "bpf")]
pub(crate) fn pacing(source: &Source) -> anyhow::Result<(Snapshot, PacingSpec)> {
    let usual = PacingSpec::default();
    let precision = if source.precision == "12bit" { Precision::Bits12 } else { Precision::Bits8 };
    let snapshot = match (&source.snapshot, &source.model) {
        (Some(file), _) => {
            let (_, snapshot) = read(file)?;
            let (schema_hash, _) =
                spec::inputs(&plain_spec(Function::Pacing, file, precision, &usual.clips, None))?;
            if schema_hash != snapshot.schema_hash() {
                bail!(
                    "{}: expected schema {:016x}, found {:016x}: in the kernel a network is shown the features with the \
                     usual clips, unscaled (`weir snapshot build FILE.onnx`)",
                    file.display(),
                    schema_hash,
                    snapshot.schema_hash()
                );
            }
            snapshot
        }
        (None, Some(file)) => {
            let spec = plain_spec(Function::Pacing, file, precision, &usual.clips, source.preference);
            Snapshot::decode(&weir_trainer::build(&spec)?.bytes)?
        }
        (None, None) => bail!("name a --snapshot, or an ONNX file with --model"),
    };
    Ok((snapshot, usual))
}

/// A preference of the command line.
fn preference(text: &str) -> Result<Preference, String> {
    let weights: Vec<f64> = text.split(',').map_while(|weight| weight.trim().parse().ok()).collect();
    <[f64; 3]>::try_from(weights).ok().and_then(Preference::from_weights).ok_or_else(|| {
        "expected weights of throughput, latency and loss from 0 to 1 that add up to 1, such as 0.6,0.3,0.1".to_owned()
    })
}

/// What a function's network is shown, and in how many rows.
fn features_of(function: Function) -> (&'static [&'static str], usize) {
    match function {
        Function::Pacing => (&PacingSpec::FEATURES, HISTORY),
        Function::Balance => (&PathSpec::FEATURES, 1),
        Function::Schedule => (&SizeSpec::FEATURES, 1),
    }
}

/// A function's features as they are, with these clips in 1/65536.
fn plain_spec(
    function: Function,
    file: &Path,
    precision: Precision,
    clips: &[(i32, i32)],
    preference: Option<Preference>,
) -> ModelSpec {
    let (features, history) = features_of(function);
    let inputs = features.iter().zip(clips).map(InputSpec::plain).collect();
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let name: String = stem.chars().filter(char::is_ascii_graphic).take(NAME_BYTES_MAX).collect();
    ModelSpec {
        name: if name.is_empty() { "model".to_owned() } else { name },
        function,
        file: file.to_owned(),
        precision,
        inputs,
        history,
        pacing: PacingSpec::default(),
        preference,
    }
}

fn configured(file: &Path, name: &str) -> anyhow::Result<ModelSpec> {
    let (plan, _) = config::load(file, &[])?;
    let found = plan.models.into_iter().find(|model| model.spec.name == name);
    Ok(found.with_context(|| format!("{}: no [[model]] is named {name:?}", file.display()))?.spec)
}

pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<()> {
    let spec = match (&args.onnx, &args.config, &args.model) {
        (_, Some(file), Some(name)) => configured(file, name)?,
        (Some(file), ..) => {
            let precision = if args.precision == "12bit" { Precision::Bits12 } else { Precision::Bits8 };
            plain_spec(Function::Pacing, file, precision, &PacingSpec::default().clips, args.preference)
        }
        _ => bail!("name an ONNX file, or --config and --model"),
    };
    let built = weir_trainer::build(&spec)?;
    write_whole(&args.out, &built.bytes)?;
    println!("{}\n{}", args.out.display(), built.report);
    Ok(())
}

/// Beside the target first, then renamed: a reader sees the old file or the new one, never a part.
fn write_whole(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, bytes).with_context(|| Path::new(&beside).display().to_string())?;
    std::fs::rename(&beside, file).with_context(|| file.display().to_string())
}

fn read(file: &Path) -> anyhow::Result<(Vec<u8>, Snapshot)> {
    let context = || file.display().to_string();
    let length = std::fs::metadata(file).with_context(context)?.len();
    if length > FILE_BYTES_MAX as u64 {
        bail!("{}: {length} bytes; a snapshot has at most {FILE_BYTES_MAX}", file.display());
    }
    let bytes = std::fs::read(file).with_context(context)?;
    let snapshot = Snapshot::decode(&bytes).with_context(context)?;
    Ok((bytes, snapshot))
}

pub(crate) fn inspect(args: &InspectArgs) -> anyhow::Result<()> {
    let (bytes, snapshot) = read(&args.snapshot)?;
    let function = snapshot.function().name();
    let layers: Vec<_> = snapshot
        .layers()
        .iter()
        .map(|layer| {
            let weights: usize = layer.inputs * layer.outputs;
            (layer.inputs, layer.outputs, weights, format!("{:?}", layer.activation))
        })
        .collect();
    if args.json {
        let layers: Vec<_> = layers
            .iter()
            .map(|(inputs, outputs, weights, activation)| {
                json!({"inputs": inputs, "outputs": outputs, "weights": weights, "activation": activation})
            })
            .collect();
        let page = json!({
            "name": snapshot.name(),
            "function": function,
            "precision": snapshot.precision().name(),
            "schema_hash": format!("{:016x}", snapshot.schema_hash()),
            "checksum": format!("{:08x}", snapshot.checksum()),
            "bytes": bytes.len(),
            "inputs": snapshot.inputs(),
            "outputs": snapshot.outputs(),
            "layers": layers,
        });
        println!("{page:#}");
        return Ok(());
    }
    println!("name       {}", snapshot.name());
    println!("function   {function}");
    println!("precision  {}", snapshot.precision().name());
    println!("schema     {:016x}", snapshot.schema_hash());
    println!("checksum   {:08x} ({} bytes)", snapshot.checksum(), bytes.len());
    for (index, (inputs, outputs, weights, activation)) in layers.iter().enumerate() {
        println!("layer {index}    {inputs} -> {outputs}, {weights} weights, {activation}");
    }
    Ok(())
}

/// `weir snapshot kernel`: a folder that Kbuild makes into modules.
pub(crate) fn kernel(args: &KernelArgs) -> anyhow::Result<()> {
    let ForKernel { snapshot, pacing, .. } = for_kernel(&args.source)?;
    std::fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    for (name, text) in weir_kernel_emit::folder(&snapshot, &pacing)? {
        write_whole(&args.out.join(name), text.as_bytes())?;
    }
    println!("{}: {}.c and Weir's modules", args.out.display(), weir_kernel_emit::module_name(&snapshot));
    println!(
        "next: make -C {} KDIR=/lib/modules/$(uname -r)/build; then README.md there",
        args.out.display()
    );
    Ok(())
}

/// A snapshot that the kernel's core takes, and what of its inputs the file does not say.
pub(crate) struct ForKernel {
    pub(crate) bytes: Vec<u8>,
    pub(crate) snapshot: Snapshot,
    /// The rule of monitor intervals, and the clips; the usual ones where no network of pacing is meant.
    pub(crate) pacing: PacingSpec,
    /// Scale and offset of each feature.
    pub(crate) affine: Vec<(f64, f64)>,
}

/// Reads the snapshot of a command line for the kernel.
///
/// # Errors
/// It is no snapshot, has another shape than the core takes, or other inputs than are named.
pub(crate) fn for_kernel(source: &KernelSource) -> anyhow::Result<ForKernel> {
    let (bytes, snapshot) = read(&source.snapshot)?;
    let (features, history) = features_of(snapshot.function());
    let inputs = features.len() * history;
    if snapshot.inputs() != inputs || snapshot.outputs() != 1 {
        bail!(
            "{}: the kernel's core takes {} networks of {inputs} inputs and one output; found {} and {}",
            source.snapshot.display(),
            snapshot.function().name(),
            snapshot.inputs(),
            snapshot.outputs()
        );
    }
    let spec = match (&source.config, &source.model) {
        (Some(file), Some(name)) => configured(file, name)?,
        _ => named_by_its_clips(&source.snapshot, &snapshot, None),
    };
    same_schema(&source.snapshot, &snapshot, spec::inputs(&spec)?.0)?;
    let pacing = match snapshot.function() {
        Function::Pacing => spec::pacing_schema(&spec)?.spec().clone(),
        Function::Balance | Function::Schedule => PacingSpec::default(),
    };
    // As in the schema: -0.0 is 0.0.
    let affine = spec.inputs.iter().map(|input| (input.scale, input.offset + 0.0)).collect();
    Ok(ForKernel { bytes, snapshot, pacing, affine })
}

/// The plain definitions with the snapshot's own clips.
fn named_by_its_clips(file: &Path, snapshot: &Snapshot, preference: Option<Preference>) -> ModelSpec {
    let (features, _) = features_of(snapshot.function());
    let inputs = snapshot.parts().inputs.iter().take(features.len());
    let clips: Vec<(i32, i32)> = inputs.map(|input| (input.clip_lo, input.clip_hi)).collect();
    plain_spec(snapshot.function(), file, snapshot.precision(), &clips, preference)
}

fn same_schema(file: &Path, snapshot: &Snapshot, expected: u64) -> anyhow::Result<()> {
    if expected != snapshot.schema_hash() {
        bail!(
            "{}: expected schema {expected:016x}, found {:016x}: name the --config and --model that it was built from",
            file.display(),
            snapshot.schema_hash()
        );
    }
    Ok(())
}

pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let (_, snapshot) = read(&args.snapshot)?;
    // Scales and offsets went into the weights, so they must be named again where there are any.
    let spec = match (&args.config, &args.model) {
        (Some(file), Some(name)) => configured(file, name)?,
        _ => named_by_its_clips(&args.onnx, &snapshot, args.preference),
    };
    // What is named on the command line, whatever file the configuration has.
    let spec = ModelSpec { file: args.onnx.clone(), ..spec };
    let (schema_hash, inputs) = spec::inputs(&spec)?;
    same_schema(&args.snapshot, &snapshot, schema_hash)?;
    let network = spec::network(&spec, inputs.len())?;
    let held = spec.preference.map_or_else(Vec::new, |preference| preference.weights().to_vec());
    let model = std::fs::read(&args.onnx).with_context(|| args.onnx.display().to_string())?;
    let rows = verify::rows(&inputs, spec.inputs.len(), args.rows as usize, args.seed);
    let runtime = Engine::load(args.ort.as_deref());
    let report = verify::verify(&snapshot, &network, &inputs, &rows, (&model, &held), runtime)?;
    println!("{report}");
    let bounds = match snapshot.precision() {
        Precision::Bits8 => BOUNDS_8BIT,
        Precision::Bits12 => BOUNDS_12BIT,
    };
    let limits = format!(
        "bounds: mean at most {:.1} %, p99 {:.1} %, max {:.1} %",
        bounds.mean * 100.0,
        bounds.p99 * 100.0,
        bounds.max * 100.0
    );
    let Errors { mean, p99, max, output_deviation } = report.float;
    // Written so that NaN fails.
    let held = mean <= bounds.mean * output_deviation
        && p99 <= bounds.p99 * output_deviation
        && max <= bounds.max * output_deviation;
    if !held {
        bail!("{}: the integers are too far from the float network; {limits}", args.snapshot.display());
    }
    if let Ok(runtime) = &report.runtime
        && (runtime.float.max.is_nan() || runtime.float.max > REFERENCE_MAX)
    {
        bail!(
            "{}: our reading of the file differs from ONNX Runtime's by {}",
            args.onnx.display(),
            runtime.float.max
        );
    }
    if args.ort.is_some()
        && let Err(error) = report.runtime
    {
        bail!("{error}");
    }
    println!("{limits}: held");
    Ok(())
}
