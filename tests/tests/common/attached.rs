//! What is attached to the links of a namespace.

use std::fs;
use std::path::Path;

use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;
use lab::ability::missing;
use lab::namespace::Namespace;
use lab::tool;
use lab::wait::wait_until;

/// Every program on every link of the namespace, as text: those on TCX hooks, which older
/// bpftools don't know of, and those that bpftool finds at other hooks.
pub(crate) fn attached(namespace: &Namespace) -> Vec<String> {
    let links = fs::read_dir(namespace.outside(Path::new("/sys/class/net"))).expect("sysfs");
    let links: Vec<String> = links
        .flatten()
        .map(|link| link.file_name().to_string_lossy().into_owned())
        .collect();
    let mut found = Vec::new();
    let hooks: &[_] = match missing("tcx") {
        None => &[
            (TcAttachType::Ingress, "ingress"),
            (TcAttachType::Egress, "egress"),
        ],
        Some(_) => &[],
    };
    for link in &links {
        for (hook, name) in hooks.iter().copied() {
            // A link, or a program on it, may go while we look; then there will be another look.
            match namespace.run(|| SchedClassifier::query_tcx(link, hook)) {
                Ok((_, programs)) => found.extend(programs.iter().map(|program| {
                    format!("{} at {link} {name}", program.name_as_str().unwrap_or("?"))
                })),
                Err(error) => found.push(format!("something at {link} {name}: {error}")),
            }
        }
    }
    let others = tool::run(namespace.command("bpftool").args(["-j", "net", "show"]));
    let others: serde_json::Value = serde_json::from_slice(&others.stdout).expect("bpftool's JSON");
    for hooks in others
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_object())
    {
        for (hook, programs) in hooks {
            found.extend(
                programs
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|program| format!("{program} at {hook}")),
            );
        }
    }
    found
}

/// Waits until nothing is attached to any link of the namespace. The kernel takes a link down a
/// moment after the last process that held it has ended.
///
/// # Panics
///
/// When something stays.
#[track_caller]
pub(crate) fn wait_until_nothing_is_attached(namespace: &Namespace) {
    wait_until("nothing attached to any link", || {
        attached(namespace).is_empty()
    });
}
