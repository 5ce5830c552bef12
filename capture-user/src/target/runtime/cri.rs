//! The Container Runtime Interface (`runtime.v1`, k8s.io/cri-api), which containerd and CRI-O have
//! for kubelet: which pods there are, and which containers are theirs.
//!
//! Only the fields that matter are declared, with the numbers of `pkg/apis/runtime/v1/api.proto`;
//! a decoder passes over the others.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;

use prost::Message;

use super::grpc::{GrpcError, call};
use super::{Named, Pod};
use crate::target::name::printable;
use crate::target::process::cgroup::Engine;

const SERVICE: &str = "/runtime.v1.RuntimeService";
/// Where engines put their sockets: containerd, k3s and RKE2, CRI-O, MicroK8s.
const SOCKETS: [(&str, Engine); 4] = [
    ("/run/containerd/containerd.sock", Engine::Containerd),
    ("/run/k3s/containerd/containerd.sock", Engine::Containerd),
    ("/run/crio/crio.sock", Engine::CriO),
    (
        "/var/snap/microk8s/common/run/containerd.sock",
        Engine::Containerd,
    ),
];

/// An engine behind a socket.
pub(super) struct Cri {
    pub(super) engine: Engine,
    pub(super) socket: PathBuf,
}

/// The engines to ask: the one that crictl's variable names, or all that are where they are put.
pub(super) fn engines() -> Result<Vec<Cri>, String> {
    const VARIABLE: &str = "CONTAINER_RUNTIME_ENDPOINT";
    match env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => {
            let socket = text.strip_prefix("unix://").unwrap_or(&text);
            if !socket.starts_with('/') {
                return Err(format!(
                    "{VARIABLE} is {}, and pods of this node are asked for by unix:// only: unset it",
                    printable(&text)
                ));
            }
            Ok(vec![Cri {
                engine: Engine::Unknown,
                socket: socket.into(),
            }])
        }
        _ => Ok(SOCKETS
            .into_iter()
            .map(|(socket, engine)| Cri {
                engine,
                socket: socket.into(),
            })
            .collect()),
    }
}

impl Cri {
    /// All its containers, and those that hold the network of each pod.
    pub(super) async fn containers(&self) -> Result<Vec<Named>, GrpcError> {
        let pods: PodSandboxes = self.ask("ListPodSandbox").await?;
        let containers: Containers = self.ask("ListContainers").await?;
        Ok(named(pods, containers, self.engine))
    }

    async fn ask<T: Message + Default>(&self, method: &str) -> Result<T, GrpcError> {
        // Both requests hold nothing but a filter, and without one mean everything.
        let answer = call(&self.socket, &format!("{SERVICE}/{method}"), &[]).await?;
        Ok(T::decode(answer)?)
    }
}

fn named(pods: PodSandboxes, containers: Containers, engine: Engine) -> Vec<Named> {
    let by_id: HashMap<String, (Pod, bool)> = pods
        .items
        .into_iter()
        .filter_map(|sandbox| {
            let metadata = sandbox.metadata?;
            let pod = Pod {
                namespace: metadata.namespace,
                name: metadata.name,
            };
            Some((sandbox.id, (pod, sandbox.state == SANDBOX_READY)))
        })
        .collect();
    let holders = by_id.iter().map(|(id, (pod, ready))| Named {
        id: id.clone(),
        // What Docker calls such a container under Kubernetes.
        name: "POD".to_owned(),
        engine,
        running: *ready,
        pod: Some(pod.clone()),
        service: None,
    });
    let members = containers.containers.into_iter().map(|container| Named {
        name: container
            .metadata
            .map_or_else(String::new, |metadata| metadata.name),
        engine,
        running: container.state == CONTAINER_RUNNING,
        pod: by_id.get(&container.sandbox).map(|(pod, _)| pod.clone()),
        service: None,
        id: container.id,
    });
    let mut all: Vec<_> = holders.chain(members).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    all
}

/// `SANDBOX_READY` of `PodSandboxState`.
const SANDBOX_READY: i32 = 0;
/// `CONTAINER_RUNNING` of `ContainerState`.
const CONTAINER_RUNNING: i32 = 1;

/// `ListPodSandboxResponse`.
#[derive(Clone, PartialEq, Message)]
struct PodSandboxes {
    #[prost(message, repeated, tag = "1")]
    items: Vec<PodSandbox>,
}

/// `PodSandbox`.
#[derive(Clone, PartialEq, Message)]
struct PodSandbox {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(int32, tag = "3")]
    state: i32,
}

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Message)]
struct PodSandboxMetadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
}

/// `ListContainersResponse`.
#[derive(Clone, PartialEq, Message)]
struct Containers {
    #[prost(message, repeated, tag = "1")]
    containers: Vec<Container>,
}

/// `Container`.
#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    sandbox: String,
    #[prost(message, optional, tag = "3")]
    metadata: Option<ContainerMetadata>,
    #[prost(int32, tag = "6")]
    state: i32,
}

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Message)]
struct ContainerMetadata {
    #[prost(string, tag = "1")]
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_with_the_pod_that_they_are_part_of() {
        let pods = PodSandboxes {
            items: vec![PodSandbox {
                id: "aa".into(),
                metadata: Some(PodSandboxMetadata {
                    name: "web".into(),
                    namespace: "default".into(),
                }),
                state: SANDBOX_READY,
            }],
        };
        let container = |id: &str, sandbox: &str, state| Container {
            id: id.into(),
            sandbox: sandbox.into(),
            metadata: Some(ContainerMetadata {
                name: "nginx".into(),
            }),
            state,
        };
        let containers = Containers {
            containers: vec![
                container("bb", "aa", CONTAINER_RUNNING),
                container("cc", "gone", 2),
            ],
        };
        let told: Vec<_> = named(pods, containers, Engine::CriO)
            .into_iter()
            .map(|it| {
                (
                    it.id,
                    it.name,
                    it.running,
                    it.pod.map(|pod| pod.to_string()),
                )
            })
            .collect();
        let web = Some("default/web".to_owned());
        assert_eq!(
            told,
            [
                ("aa".into(), "POD".into(), true, web.clone()),
                ("bb".into(), "nginx".into(), true, web),
                ("cc".into(), "nginx".into(), false, None)
            ]
        );
    }

    #[test]
    fn fields_that_are_not_declared_are_passed_over() {
        // A sandbox with id "a", metadata {name "n", uid "u", namespace "s"}, created_at 5, and a
        // label: as the engine encodes it.
        let sandbox = [
            &[
                0x0a, 1, b'a', 0x12, 9, 0x0a, 1, b'n', 0x12, 1, b'u', 0x1a, 1, b's',
            ][..],
            &[0x20, 5, 0x2a, 6, 0x0a, 1, b'k', 0x12, 1, b'v'],
        ]
        .concat();
        let list = [
            &[0x0a, u8::try_from(sandbox.len()).expect("short")][..],
            &sandbox,
        ]
        .concat();
        let read = PodSandboxes::decode(list.as_slice()).expect("a list");
        let metadata = read.items[0].metadata.clone().expect("metadata");
        assert_eq!((&*metadata.namespace, &*metadata.name), ("s", "n"));
        assert_eq!(read.items[0].id, "a");
    }
}
