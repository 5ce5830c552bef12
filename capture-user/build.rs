//! Puts the kernel object where the library can embed it, and links libpcap's compiler.
//!
//! The object is made by another compiler for another target, and libpcap from sources that are
//! fetched first, so cargo can't make them on the way: `cargo xtask build` does, before it builds
//! this crate.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-env-changed=NODECAP_EBPF_OBJECT");
    println!("cargo::rerun-if-env-changed=NODECAP_LIBPCAP");
    if let Err(error) = embed().and_then(|()| link()) {
        println!("cargo::error={error}");
    }
}

fn embed() -> Result<(), String> {
    let object = place("NODECAP_EBPF_OBJECT", "ebpf/nodecap.o");
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

fn link() -> Result<(), String> {
    let folder = place("NODECAP_LIBPCAP", "libpcap");
    let archive = folder.join("libnodecap_pcap.a");
    println!("cargo::rerun-if-changed={}", archive.display());
    if !archive.is_file() {
        return Err(format!("no {}: run `cargo xtask build`", archive.display()));
    }
    println!("cargo::rustc-link-search=native={}", folder.display());
    println!("cargo::rustc-link-lib=static=nodecap_pcap");
    Ok(())
}

/// .cargo/config.toml says where; it isn't read when cargo is started outside the workspace.
fn place(variable: &str, below_target: &str) -> PathBuf {
    match env::var_os(variable) {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target")
            .join(below_target),
    }
}
