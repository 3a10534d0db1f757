//! `weir snapshot build | inspect | verify`.

use crate::config::{self, ModelPlan};
use crate::models::{self, Difference, ModelRows};
use crate::run::precision_name;
use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use weir_features::{FEATURES, HISTORY, Input, InputSchema, ONE, PacingSpec};
use weir_snapshot::{FILE_BYTES_MAX, Precision, Snapshot};
use weir_trainer::onnx;
use weir_trainer::quantise::InputMap;

/// Stated bounds on the mean and the largest difference from the float network, in units of the action, whose step
/// is 1: the network's answer moves a rate by 2.5 % per unit.
const BOUNDS_8BIT: (f64, f64) = (0.05, 0.30);
const BOUNDS_12BIT: (f64, f64) = (0.01, 0.05);

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
    /// Rows to compare, drawn evenly from the clip box.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rows: u32,
    /// Seed of the rows.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Aurora's features as they are, with these clips (in 1/65536) per feature.
fn plain_inputs(clips: &[(i32, i32)]) -> anyhow::Result<(InputSchema, Vec<InputMap>)> {
    let q16 = |value: i32| f64::from(value) / f64::from(ONE);
    let inputs: Vec<Input<'_>> = PacingSpec::FEATURES
        .iter()
        .zip(clips)
        .map(|(feature, &(low, high))| Input { feature, scale: 1.0, offset: 0.0, clip: [q16(low), q16(high)] })
        .collect();
    let schema = InputSchema::pacing(&PacingSpec::default(), HISTORY, &inputs)?;
    let one: Vec<InputMap> =
        inputs.iter().map(|input| InputMap { scale: input.scale, offset: input.offset, clip: input.clip }).collect();
    Ok((schema, one.repeat(HISTORY)))
}

/// The inputs that a snapshot was built with. Scales and offsets went into its weights, so they must be named again
/// where there are any; the schema hash tells.
fn inputs_of(snapshot: &Snapshot, args: &VerifyArgs) -> anyhow::Result<Vec<InputMap>> {
    let (hash, inputs) = if let (Some(file), Some(name)) = (&args.config, &args.model) {
        let model = configured(file, name)?;
        (model.schema.hash(), models::input_maps(&model))
    } else {
        let clips: Vec<(i32, i32)> =
            snapshot.parts().inputs.iter().take(FEATURES).map(|input| (input.clip_lo, input.clip_hi)).collect();
        let (schema, inputs) = plain_inputs(&clips)?;
        (schema.hash(), inputs)
    };
    if hash != snapshot.schema_hash() {
        bail!(
            "{}: schema {:016x}, expected {hash:016x}: name the --config and --model that it was built from",
            args.snapshot.display(),
            snapshot.schema_hash()
        );
    }
    Ok(inputs)
}

fn configured(file: &Path, name: &str) -> anyhow::Result<ModelPlan> {
    let (plan, _) = config::load(file, &[])?;
    let found = plan.models.into_iter().find(|model| model.name == name);
    found.with_context(|| format!("{}: no [[model]] is named {name:?}", file.display()))
}

pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<()> {
    let built = if let (Some(file), Some(name)) = (&args.config, &args.model) {
        let model = configured(file, name)?;
        let inputs = models::input_maps(&model);
        let rows =
            ModelRows { name, precision: model.precision, schema_hash: model.schema.hash(), inputs: &inputs };
        models::build(&model.file, &rows)?
    } else if let Some(file) = &args.onnx {
        let (schema, inputs) = plain_inputs(&PacingSpec::default().clips)?;
        let precision = if args.precision == "12bit" { Precision::Bits12 } else { Precision::Bits8 };
        let name: String = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or("model")
            .chars()
            .filter(char::is_ascii_graphic)
            .take(32)
            .collect();
        models::build(file, &ModelRows { name: &name, precision, schema_hash: schema.hash(), inputs: &inputs })?
    } else {
        bail!("name an ONNX file, or --config and --model");
    };
    write_whole(&args.out, &built.bytes)?;
    println!("{}: {}, {} bytes; quantisation error {}", args.out.display(), built.shape, built.bytes.len(), built.error);
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
    let function = format!("{:?}", snapshot.function()).to_lowercase();
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
            "precision": precision_name(snapshot.precision()),
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
    println!("precision  {}", precision_name(snapshot.precision()));
    println!("schema     {:016x}", snapshot.schema_hash());
    println!("checksum   {:08x} ({} bytes)", snapshot.checksum(), bytes.len());
    for (index, (inputs, outputs, weights, activation)) in layers.iter().enumerate() {
        println!("layer {index}    {inputs} -> {outputs}, {weights} weights, {activation}");
    }
    Ok(())
}

pub(crate) fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let (bytes, snapshot) = read(&args.snapshot)?;
    let network = onnx::import(&args.onnx)?;
    let inputs = inputs_of(&snapshot, args)?;
    if network.inputs() != inputs.len() {
        bail!(
            "{} has {} inputs, {} has {}",
            args.onnx.display(),
            network.inputs(),
            args.snapshot.display(),
            inputs.len()
        );
    }
    let rows = models::rows(&inputs, args.rows as usize, args.seed);
    let error = models::compare(&bytes, &rows, |row| models::float_answer(&network, &inputs, row))?;
    println!("{} rows, seed {}: against the float network {error}", args.rows, args.seed);
    let (mean, max) = match snapshot.precision() {
        Precision::Bits8 => BOUNDS_8BIT,
        Precision::Bits12 => BOUNDS_12BIT,
    };
    within(&error, mean, max)
}

fn within(error: &Difference, mean: f64, max: f64) -> anyhow::Result<()> {
    if error.mean > mean || error.max > max || !error.max.is_finite() {
        bail!("beyond the bounds: mean at most {mean}, max at most {max}");
    }
    println!("within the bounds: mean at most {mean}, max at most {max}");
    Ok(())
}
