//! A session with any number of named float tensors in and out.

use super::{Engine, EngineError, failed};

use onnxruntime::session::builder::GraphOptimizationLevel;
use onnxruntime::session::{Session, SessionInputValue};
use onnxruntime::value::TensorRef;
use std::borrow::Cow;

/// A model whose tensors are all float (f32). One thread, all optimisations.
#[derive(Debug)]
pub struct Named {
    session: Session,
}

/// One tensor for a run, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The graph input's name.
    pub name: &'a str,
    /// Elements, row by row.
    pub cells: &'a [f32],
    /// Columns of a matrix; `None` for a vector.
    pub columns: Option<usize>,
}

impl Engine {
    /// Makes a session of `model`.
    ///
    /// # Errors
    /// [`EngineError::Model`] when ONNX Runtime refuses it.
    pub fn open(&self, model: &[u8]) -> Result<Named, EngineError> {
        let session = self.session(model, GraphOptimizationLevel::Level3).map_err(failed)?;
        Ok(Named { session })
    }
}

impl Named {
    /// Runs the model and hands each output's name and elements to `take`.
    ///
    /// # Errors
    /// [`EngineError::Model`] with ONNX Runtime's own words, or when an output is not float; or `take`'s error.
    pub fn run<E: From<EngineError>>(
        &mut self,
        inputs: &[Input<'_>],
        mut take: impl FnMut(&str, &[f32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut values: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let tensor = match input.columns {
                None => TensorRef::from_array_view(([input.cells.len()], input.cells)),
                Some(columns) => {
                    let rows = input.cells.len() / columns.max(1);
                    TensorRef::from_array_view(([rows, columns], input.cells))
                }
            };
            let tensor = tensor.map_err(failed)?;
            values.push((input.name.into(), tensor.into()));
        }
        let outputs = self.session.run(values).map_err(failed)?;
        for (name, value) in outputs.iter() {
            let (_, cells) = value.try_extract_tensor::<f32>().map_err(failed)?;
            take(name, cells)?;
        }
        Ok(())
    }
}
