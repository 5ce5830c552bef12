//! Pods by namespace and name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Ids, Place, some_of};
use crate::error::{Error, Result};
use crate::target::name::printable;
use crate::target::process::{Process, Seen, scan};
use crate::target::runtime::{self, Names, Pod};

/// Reads `NAMESPACE/NAME`.
///
/// # Errors
///
/// [`Error::Usage`] for anything else.
pub(super) fn parse(text: &str) -> Result<Pod> {
    match text.split_once('/') {
        Some((namespace, name)) if ![namespace, name].contains(&"") && !name.contains('/') => {
            Ok(Pod {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            })
        }
        _ => Err(Error::usage(format!(
            "--pod {text}: a pod is named by its namespace and its name, as default/web",
            text = printable(text)
        ))),
    }
}

/// The first process of a running pod.
pub(super) async fn find(pod: &Pod) -> Result<Process> {
    let seen = scan();
    let names = runtime::names().await;
    let running = first_processes(&seen, &names, &runtime::pods());
    running
        .get(pod)
        .copied()
        .ok_or_else(|| unknown(pod, &running, &names))
}

/// Where the pod with this process is.
pub(super) async fn place(pod: &Pod, process: Process, ids: &mut Ids) -> Result<Place> {
    let pid = process.pid;
    let netns = ids.of_process(pid).await.map_err(|error| {
        Error::failure(format!(
            "--pod {pod}: can't ask for its network namespace: {error}; try again"
        ))
    })?;
    Ok(Place {
        netns,
        file: PathBuf::from(format!("/proc/{pid}/ns/net")),
        whose: format!("pod {pod}"),
        container: None,
        process: Some(process),
    })
}

/// Each pod's oldest process.
fn first_processes(
    seen: &[Seen],
    names: &Names,
    by_uid: &BTreeMap<String, Pod>,
) -> BTreeMap<Pod, Process> {
    let mut first: BTreeMap<Pod, Process> = BTreeMap::new();
    for one in seen {
        let Some(container) = one.owner.containers.last() else {
            continue;
        };
        let told = names.of(&container.id).and_then(|named| named.pod.as_ref());
        let uid = container.pod.as_deref();
        let Some(pod) = told.or_else(|| by_uid.get(uid?)) else {
            continue;
        };
        first
            .entry(pod.clone())
            .and_modify(|known| {
                if one.process.started() < known.started() {
                    *known = one.process;
                }
            })
            .or_insert(one.process);
    }
    first
}

fn unknown(pod: &Pod, running: &BTreeMap<Pod, Process>, names: &Names) -> Error {
    let typed = pod.to_string();
    let mut candidates: Vec<(usize, String)> = running
        .keys()
        .map(ToString::to_string)
        .map(|other| (strsim::osa_distance(&typed, &other), other))
        .collect();
    // The most similar first.
    candidates.sort();
    let there_is = match candidates.is_empty() {
        true => match names.why_missing() {
            Some(why) => format!(
                "no pod's name is known here ({why}): give --container or --pid, which need no name"
            ),
            None => "no pod runs here".to_owned(),
        },
        false => format!(
            "running here: {}",
            some_of(candidates.into_iter().map(|(_, pod)| pod).collect())
        ),
    };
    Error::usage(format!(
        "--pod {typed}: no pod of this name runs on this node; {there_is}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::process::cgroup::{self, Engine};
    use crate::target::runtime::Named;

    const UID: &str = "2c48913c-b29f-11e7-9350-020968147796";

    fn pod(name: &str) -> Pod {
        Pod {
            namespace: "default".into(),
            name: name.into(),
        }
    }

    fn seen(pid: u32, uid: &str, digit: char) -> Seen {
        let id = digit.to_string().repeat(64);
        Seen {
            process: Process::example(pid),
            owner: cgroup::owner(&format!("0::/kubepods/burstable/pod{uid}/{id}\n")),
        }
    }

    #[test]
    fn a_pod_is_a_namespace_and_a_name() {
        assert_eq!(parse("default/web").expect("a pod"), pod("web"));
        for text in ["web", "/web", "default/", "a/b/c", "", "/"] {
            assert!(matches!(parse(text), Err(Error::Usage(_))), "{text}");
        }
    }

    #[test]
    fn the_oldest_process_stands_for_a_pod_that_engine_or_kubelet_names() {
        let other = UID.replace('2', "3");
        let all = [seen(9, UID, 'a'), seen(7, UID, 'b'), seen(8, &other, 'c')];
        let by_uid = BTreeMap::from([(UID.to_owned(), pod("web"))]);
        let named = Named {
            id: "c".repeat(64),
            name: "nginx".into(),
            engine: Engine::Containerd,
            running: true,
            pod: Some(pod("db")),
            service: None,
        };
        let names = Names {
            containers: vec![named],
            ..Names::default()
        };
        let first = first_processes(&all, &names, &by_uid);
        assert_eq!(
            first,
            BTreeMap::from([
                (pod("web"), Process::example(7)),
                (pod("db"), Process::example(8))
            ])
        );
    }

    #[test]
    fn an_unknown_pod_is_told_with_those_that_run() {
        let running = BTreeMap::from([
            (pod("db"), Process::example(1)),
            (pod("web-0"), Process::example(2)),
        ]);
        let text = unknown(&pod("web-1"), &running, &Names::default()).to_string();
        assert!(
            text.ends_with("running here: default/web-0, default/db"),
            "{text}"
        );
        let text = unknown(&pod("web"), &BTreeMap::new(), &Names::default()).to_string();
        assert!(text.contains("no container engine answers here"), "{text}");
    }
}
