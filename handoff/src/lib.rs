//! How values cross cores: the snapshot epoch and the sample lanes.
