//! What people and programs read of runs (replaced by `view/`).
