//! What a quantised model is, byte for byte and integer for integer.
