//! Fold tables.
