//! The build script of every function: links at a fixed address, as Go's Lambdas are. A tenth of a position-independent
//! binary are relocations, which every cold start would apply one by one.

fn main() {
    println!("cargo::rerun-if-changed=../../shared/link.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
