//! Containers of a real Docker, found by their names.
//!
//! - `found`: by name and id, followed through a restart, on all their networks
//! - `named`: what is called by their names
//! - `pods`: those of a pod, as kubelet has Docker make them
//! - `swarm`: the namespace and the services of Swarm
//! - `refused`: what can't be meant, and engines that don't answer

#[path = "../common/groups.rs"]
mod groups;

mod found;
mod named;
mod pods;
mod refused;
mod swarm;

use std::path::Path;

use lab::docker::Docker;
use lab::nodecap::{Capture, Nodecap};
use lab::process::Finished;
use lab::read::CaptureFile;
use serde_json::Value;

/// A block's type in a capture file.
const NAME_RESOLUTION: u32 = 4;

fn nodecap<'a>(docker: &'a Docker, arguments: &[&str]) -> Nodecap<'a> {
    Nodecap::new(docker.node(), arguments).env("DOCKER_HOST", docker.host())
}

fn capture<'a>(docker: &'a Docker, arguments: &[&str]) -> Nodecap<'a> {
    nodecap(docker, &[&["capture"], arguments].concat())
}

fn listening_on(capture: &Capture) -> String {
    let line = capture.wait_for_line("listening on ");
    let names = line.strip_prefix("listening on ").unwrap_or_default();
    names
        .split(", snapshot")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[track_caller]
fn refused(finished: &Finished, code: i32, words: &[&str]) {
    let said = &finished.stderr;
    assert_eq!(finished.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

/// What `nodecap interfaces --json` says of an interface.
#[track_caller]
fn entry(docker: &Docker, name: &str) -> Value {
    let finished = nodecap(docker, &["interfaces", "--json"]).run();
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    assert_eq!(finished.stderr, "");
    let all: Value = serde_json::from_slice(&finished.stdout).expect("JSON");
    let entry = all.as_array().into_iter().flatten();
    let entry = entry.into_iter().find(|entry| entry["name"] == name);
    entry
        .unwrap_or_else(|| panic!("no {name} in {all:#}"))
        .clone()
}

/// How many name resolution blocks a file has so far.
fn names_in(file: &Path) -> usize {
    let blocks = CaptureFile::read(file).blocks;
    let of_names = blocks.iter().filter(|kind| **kind == NAME_RESOLUTION);
    of_names.count()
}
