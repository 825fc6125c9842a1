//! Scenarios over the whole machine.
