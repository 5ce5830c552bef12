//! Docker's API (`GET /containers/json`, the same in every version of it), which podman has too.

use std::collections::HashMap;
use std::env;
use std::path::PathBuf;

use serde::Deserialize;

use super::http::{HttpError, get};
use super::{Named, Pod};
use crate::target::name::printable;
use crate::target::process::cgroup::Engine;

/// An engine behind a socket.
pub(super) struct Docker {
    pub(super) engine: Engine,
    pub(super) socket: PathBuf,
}

impl Docker {
    /// The engine where its own tools look for it: `DOCKER_HOST`, `CONTAINER_HOST`, or where it is
    /// put unless told otherwise. An error where that is somewhere else on the network.
    pub(super) fn usual(engine: Engine) -> Result<Self, String> {
        let (variable, usual) = match engine {
            Engine::Podman => ("CONTAINER_HOST", "/run/podman/podman.sock"),
            _ => ("DOCKER_HOST", "/var/run/docker.sock"),
        };
        let socket = match env::var(variable) {
            Err(_) => usual.into(),
            Ok(text) if text.is_empty() => usual.into(),
            Ok(text) => text.strip_prefix("unix://").map(PathBuf::from).ok_or_else(|| {
                format!(
                    "{variable} is {}, and containers of this node are asked for by unix:// only: \
                     unset it",
                    printable(&text)
                )
            })?,
        };
        Ok(Self { engine, socket })
    }

    /// All its containers, those that don't run too.
    pub(super) async fn containers(&self) -> Result<Vec<Named>, HttpError> {
        let answer = get(&self.socket, "/containers/json?all=true").await?;
        Ok(read(&answer, self.engine)?)
    }
}

/// A container in the list, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
}

fn read(answer: &[u8], engine: Engine) -> Result<Vec<Named>, serde_json::Error> {
    let listed: Vec<Listed> = serde_json::from_slice(answer)?;
    Ok(listed
        .into_iter()
        .map(|container| named(container, engine))
        .collect())
}

fn named(container: Listed, engine: Engine) -> Named {
    let names = container.names.unwrap_or_default();
    // Each begins with a slash. One with another in it is what a linked container calls it.
    let own = names
        .iter()
        .map(|name| name.strip_prefix('/').unwrap_or(name))
        .find(|name| !name.is_empty() && !name.contains('/'));
    let name = own
        .unwrap_or_else(|| crate::target::process::cgroup::short(&container.id))
        .to_owned();
    // What kubelet has its Docker adapter put there (cri-dockerd).
    let mut labels = container.labels.unwrap_or_default();
    let mut label = |name| labels.remove(name);
    let pod = label("io.kubernetes.pod.namespace")
        .zip(label("io.kubernetes.pod.name"))
        .map(|(namespace, name)| Pod { namespace, name });
    Named {
        name,
        engine,
        running: container.state.as_deref() == Some("running"),
        pod,
        id: container.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_names_states_and_pods() {
        let list = br#"[
            {"Id":"aa","Names":["/other/web","/web"],"Image":"x","State":"running","Labels":{}},
            {"Id":"bb","Names":["/db"],"State":"exited","Labels":null},
            {"Id":"0123456789abcdef","Names":null},
            {"Id":"cc","Names":["/k8s_POD_web-0_default_1_0"],"State":"running","Labels":{
                "io.kubernetes.pod.namespace":"default","io.kubernetes.pod.name":"web-0"}}
        ]"#;
        let named = read(list, Engine::Docker).expect("a list");
        let told: Vec<_> = named
            .iter()
            .map(|it| (it.name.as_str(), it.running))
            .collect();
        assert_eq!(
            told,
            [
                ("web", true),
                ("db", false),
                ("0123456789ab", false),
                ("k8s_POD_web-0_default_1_0", true)
            ]
        );
        let pod = Pod {
            namespace: "default".into(),
            name: "web-0".into(),
        };
        assert_eq!(named[3].pod, Some(pod));
        assert_eq!(named[0].pod, None);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for answer in [&b""[..], b"{}", b"[{}]", b"[", br#"{"message":"no"}"#] {
            assert!(read(answer, Engine::Docker).is_err());
        }
    }
}
