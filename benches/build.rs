//! Tells the program which compiler made it, and for which machine: instruction counts hold for these alone.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    tell("RUSTC_VERSION", &version.unwrap_or_default());
    tell("TARGET", &env::var("TARGET").unwrap_or_default());
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    tell("TARGET_FEATURES", &features);
}

fn tell(name: &str, value: &str) {
    println!("cargo::rustc-env=BUILT_WITH_{name}={value}");
}
