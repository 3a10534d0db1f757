//! Turn samples into a snapshot worth publishing: ONNX import, quantiser, gate.
