//! What the micro-benchmarks and the instruction counts share: inputs, how they are received, and the bare loop.

pub mod bare;
pub mod input;
pub mod opening;
