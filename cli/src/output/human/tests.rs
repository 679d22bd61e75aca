//! What people see, at 80 columns.
