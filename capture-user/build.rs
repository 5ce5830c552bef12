//! Puts the kernel object where the library can embed it.
//!
//! The object is made by another compiler for another target, so cargo can't make it on the way:
//! `cargo xtask build` does, before it builds this crate.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=NODECAP_EBPF_OBJECT");
    if let Err(error) = embed() {
        println!("cargo::error={error}");
    }
}

fn embed() -> Result<(), String> {
    let object = object();
    println!("cargo::rerun-if-changed={}", object.display());
    let folder =
        env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: cargo runs this, nobody else")?;
    fs::copy(&object, Path::new(&folder).join("nodecap.o")).map_err(|error| {
        format!(
            "no kernel object at {}: run `cargo xtask build` ({error})",
            object.display()
        )
    })?;
    Ok(())
}

/// .cargo/config.toml says where; it isn't read when cargo is started outside the workspace.
fn object() -> PathBuf {
    match env::var_os("NODECAP_EBPF_OBJECT") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ebpf/nodecap.o"),
    }
}
