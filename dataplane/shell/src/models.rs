//! The configuration's models: import, quantise, and hold the integers against the float network.

use crate::config::{self, ConfigError, ModelPlan, Plan, PortsPlan, Source};
use crate::run::precision_name;
use std::fmt;
use std::path::Path;
use weir_engine::config::PacingRule;
use weir_features::{HISTORY, INPUTS, ONE};
use weir_snapshot::{Executable, Executor, Function, Precision, Scratch, Snapshot};
use weir_trainer::network::Network;
use weir_trainer::onnx;
use weir_trainer::quantise::{InputMap, QuantiseOptions, quantise};

/// Rows on which `check` and `build` compare: a few milliseconds.
const CHECK_ROWS: usize = 2_000;

/// A quantised model.
#[derive(Debug)]
pub struct BuiltModel {
    /// The snapshot.
    pub bytes: Vec<u8>,
    /// Widths of its layers, as in `30-32-16-1`.
    pub shape: String,
    /// Integers against floats, over rows drawn from the clip box.
    pub error: Difference,
}

/// How far two evaluations of one network are apart, in units of its output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    /// Mean.
    pub mean: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Difference {
    /// Of absolute differences.
    pub fn of(mut differences: Vec<f64>) -> Difference {
        differences.sort_by(f64::total_cmp);
        let count = differences.len().max(1);
        Difference {
            mean: differences.iter().sum::<f64>() / count as f64,
            p99: differences.get((count - 1) * 99 / 100).copied().unwrap_or(0.0),
            max: differences.last().copied().unwrap_or(0.0),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mean {:.5}, p99 {:.5}, max {:.5}", self.mean, self.p99, self.max)
    }
}

/// Imports and quantises every model of a plan.
///
/// # Errors
/// A model's refusal, at the place of its `file` key.
pub fn build_all(plan: &Plan, source: &Source) -> Result<Vec<BuiltModel>, ConfigError> {
    let build = |(index, model): (usize, &ModelPlan)| {
        let inputs = input_maps(model);
        let rows = ModelRows { name: &model.name, precision: model.precision, schema_hash: model.schema.hash(), inputs: &inputs };
        build(&model.file, &rows).map_err(|reason| source.error(&Plan::model_key(index, "file"), format!("{reason:#}")))
    };
    plan.models.iter().enumerate().map(build).collect()
}

/// How a pacing model's inputs come from features: its features' maps, once per interval of history.
pub(crate) fn input_maps(model: &ModelPlan) -> Vec<InputMap> {
    let one_interval: Vec<InputMap> = model
        .schema
        .affine()
        .iter()
        .zip(model.schema.spec().clips)
        .map(|(&(scale, offset), (low, high))| InputMap { scale, offset, clip: [q16(low), q16(high)] })
        .collect();
    one_interval.repeat(HISTORY)
}

fn q16(value: i32) -> f64 {
    f64::from(value) / f64::from(ONE)
}

/// What a network's inputs are, and what to call it.
pub(crate) struct ModelRows<'a> {
    pub(crate) name: &'a str,
    pub(crate) precision: Precision,
    pub(crate) schema_hash: u64,
    pub(crate) inputs: &'a [InputMap],
}

/// From a file to a snapshot that decodes, runs and has been compared.
pub(crate) fn build(file: &Path, model: &ModelRows<'_>) -> anyhow::Result<BuiltModel> {
    let network = onnx::import(file)?;
    let found = (network.inputs(), network.outputs());
    if found != (INPUTS, 1) {
        anyhow::bail!(
            "{}: expected {INPUTS} inputs ({} features in {HISTORY} intervals) and 1 output, found {} and {}",
            file.display(),
            INPUTS / HISTORY,
            found.0,
            found.1
        );
    }
    // A flow at rest: no latency trend, RTT at its minimum, everything acknowledged.
    let reference = [0.0, 1.0, 1.0].repeat(HISTORY);
    let options = QuantiseOptions {
        name: model.name,
        function: Function::Pacing,
        precision: model.precision,
        schema_hash: model.schema_hash,
        inputs: model.inputs,
        reference: &reference,
        calibration: &[],
    };
    let bytes = quantise(&network, &options)?;
    let rows = rows(model.inputs, CHECK_ROWS, 1);
    let error = compare(&bytes, &rows, |row| float_answer(&network, model.inputs, row))?;
    Ok(BuiltModel { bytes, shape: network.shape(), error })
}

/// What the float network says to features in 1/65536.
pub(crate) fn float_answer(network: &Network, inputs: &[InputMap], row: &[i32]) -> f64 {
    let mapped: Vec<f64> = inputs.iter().zip(row).map(|(map, &feature)| map.apply(q16(feature))).collect();
    network.evaluate(&mapped).first().copied().unwrap_or(f64::NAN)
}

/// Feature rows in 1/65536, drawn evenly from the clip box.
pub(crate) fn rows(inputs: &[InputMap], count: usize, seed: u64) -> Vec<Vec<i32>> {
    let mut state = seed;
    let mut draw = move || {
        // SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut feature = |map: &InputMap| {
        let [low, high] = map.clip;
        ((low + (high - low) * draw()) * f64::from(ONE)).round() as i32
    };
    (0..count).map(|_| inputs.iter().map(&mut feature).collect()).collect()
}

/// A snapshot's integers, by the scalar executor that defines them, against `reference`.
pub(crate) fn compare(
    bytes: &[u8],
    rows: &[Vec<i32>],
    reference: impl Fn(&[i32]) -> f64,
) -> anyhow::Result<Difference> {
    let executable = Executable::new(Snapshot::decode(bytes)?, Executor::Scalar)?;
    anyhow::ensure!(
        rows.iter().all(|row| row.len() == executable.row_len()),
        "expected a snapshot of {INPUTS} inputs, found {}",
        executable.row_len()
    );
    let mut scratch = Scratch::new();
    let mut out = vec![0; executable.outputs()];
    let differences = rows.iter().map(|row| {
        executable.evaluate(row, &mut out, &mut scratch);
        (q16(out.first().copied().unwrap_or(0)) - reference(row)).abs()
    });
    Ok(Difference::of(differences.collect()))
}

/// `weir check`: everything that `weir run` would find out before it touches a port.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(file: &Path, overrides: &[String]) -> anyhow::Result<()> {
    let (plan, source) = config::load(file, overrides)?;
    let built = build_all(&plan, &source)?;
    println!("{}: ok", file.display());
    match &plan.ports {
        PortsPlan::Devices([inside, outside]) => {
            println!("ports    inside {}, outside {}", inside.name(), outside.name());
            println!("cores    control {}, worker {}", plan.cores.control, plan.cores.worker);
            let pages = if plan.eal.hugepages { "hugepages" } else { "ordinary pages" };
            println!("memory   {} MB of {pages}, {} frame buffers", plan.eal.memory_mb, plan.buffers());
        }
        PortsPlan::Captures(files) => {
            for (side, pair) in ["inside", "outside"].iter().zip(files) {
                crate::capture::CaptureReader::open(&pair.input)
                    .map_err(|error| source.error(&format!("ports.{side}"), error))?;
                println!("ports    {side} from {} to {}", pair.input.display(), pair.output.display());
            }
        }
    }
    match &plan.engine.pacing {
        None => println!("pacing   none: frames are forwarded only"),
        Some(pacing) => {
            let rule = match pacing.rule {
                PacingRule::None => "none".to_owned(),
                PacingRule::Fixed(rate) => format!("fixed at {rate}"),
                PacingRule::BbrLite => "bbr_lite".to_owned(),
            };
            let by = plan.pacing_model.and_then(|index| plan.models.get(index)).map(|model| model.name.as_str());
            println!("pacing   model {}, rule {rule}, {} to {}", by.unwrap_or("none"), pacing.rate_min, pacing.rate_max);
        }
    }
    for (model, built) in plan.models.iter().zip(&built) {
        println!(
            "model    {}: {}, {}, {} bytes; quantisation error {}",
            model.name,
            built.shape,
            precision_name(model.precision),
            built.bytes.len(),
            built.error
        );
    }
    Ok(())
}
