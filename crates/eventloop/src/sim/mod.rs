//! A whole server without an operating system: workers, network, clients and time in one thread, and a seed that decides
//! what is left open. `WIREFAN_SIM_SEED=n` replays a failed run, `WIREFAN_SIM_RUNS=n` makes more of them.

mod chance;
mod chaos;
mod client;
#[cfg(feature = "client")]
mod far;
mod model;
mod net;
mod script;
mod secure;
mod tests_admission;
mod tests_backpressure;
mod tests_closing;
mod tests_deferred;
#[cfg(feature = "client")]
mod tests_dialling;
mod tests_fairness;
mod tests_gaps;
mod tests_leaving;
mod tests_mail;
mod tests_random;
mod tests_requests;
mod tests_slow_random;
mod tests_slow_readers;
mod tests_timeouts;
mod tests_topics;
mod world;
