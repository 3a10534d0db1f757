//! A session whose tensors are made once: the quickest way through ONNX Runtime for the same batch again and again.

use super::{Engine, EngineError, GraphInput, failed};

use onnxruntime::memory::Allocator;
use onnxruntime::session::builder::GraphOptimizationLevel;
use onnxruntime::session::{IoBinding, Session};
use onnxruntime::value::Tensor;

/// A model with one float input and one float output, bound to a batch of fixed size. One thread, all optimisations.
#[derive(Debug)]
pub struct Bound {
    session: Session,
    binding: IoBinding,
    input: Tensor<f32>,
    name: String,
}

impl Engine {
    /// Makes a session of `model` for `rows` rows at a time.
    ///
    /// # Errors
    /// [`EngineError::Model`] when the model has another interface, or ONNX Runtime refuses it.
    pub fn bind(&self, model: &[u8], rows: usize) -> Result<Bound, EngineError> {
        let session = self.session(model, GraphOptimizationLevel::Level3).map_err(failed)?;
        let interface = (session.inputs(), session.outputs());
        let ([input], [output]) = interface else {
            return Err(EngineError::Model("more than one input or output".into()));
        };
        let (graph, result) =
            (GraphInput::of(input.name(), input.dtype())?, GraphInput::of(output.name(), output.dtype())?);
        if graph.double || result.double || graph.batch.is_some_and(|batch| batch != rows) {
            return Err(EngineError::Model(format!("not a float model for {rows} rows at a time")));
        }
        let tensor = |width| Tensor::<f32>::new(&Allocator::default(), [rows, width]).map_err(failed);
        let mut binding = session.create_binding().map_err(failed)?;
        binding.bind_output(result.name.as_str(), tensor(result.width)?).map_err(failed)?;
        Ok(Bound { session, binding, input: tensor(graph.width)?, name: graph.name })
    }
}

impl Bound {
    /// Runs one batch and hands the outputs to `take`.
    ///
    /// # Errors
    /// [`EngineError::Model`] when `rows` is not a batch, or with ONNX Runtime's own words.
    pub fn run(&mut self, rows: &[f32], take: impl FnOnce(&[f32])) -> Result<(), EngineError> {
        let (_, cells) = self.input.extract_tensor_mut();
        if cells.len() != rows.len() {
            return Err(EngineError::Model(format!("{} items, not {}", rows.len(), cells.len())));
        }
        cells.copy_from_slice(rows);
        // By contract, what changed after a binding is only seen after the next.
        self.binding.bind_input(self.name.as_str(), &self.input).map_err(failed)?;
        let outputs = self.session.run_binding(&self.binding).map_err(failed)?;
        let (_, cells) = outputs[0].try_extract_tensor::<f32>().map_err(failed)?;
        take(cells);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../conf/models/aurora.onnx");

    #[test]
    fn a_bound_session_sees_every_batch() {
        let Some(engine) = testing::engine("bound sessions with plain ones") else { return };
        let model = std::fs::read(FILE).unwrap();
        let mut bound = engine.bind(&model, 4).unwrap();
        for batch in 0..3 {
            let rows: Vec<Vec<f64>> = (0..4)
                .map(|row| (0..30).map(|at| f64::from((at * 7 + row * 13 + batch) % 11) / 8.0).collect())
                .collect();
            let flat: Vec<f32> = rows.iter().flatten().map(|&x| x as f32).collect();
            let mut found = Vec::new();
            bound.run(&flat, |results| found.extend_from_slice(results)).unwrap();
            let expected = engine.evaluate(&model, &rows).unwrap();
            assert_eq!(found.len(), 4);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected[0]).abs() < 1e-5, "{found} {expected:?}");
            }
        }
        assert!(bound.run(&[0.0; 30], |_| ()).is_err(), "another batch size is refused");
    }
}
