//! Docker's API (`GET /containers/json`, the same in every version of it), which podman has too;
//! and Swarm's services, which Docker alone has (`GET /networks/ID?verbose=true`).

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::path::PathBuf;

use serde::Deserialize;

use super::http::{HttpError, get};
use super::{Named, Pod, Service, Task};
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

    /// The services of Swarm that have something running on this node or are published here, as of
    /// each network that is Swarm's. Every node of a swarm knows them, workers too.
    pub(super) async fn services(&self) -> Result<Vec<Service>, HttpError> {
        // {"scope":["swarm"]}
        const SWARM: &str = "/networks?filters=%7B%22scope%22%3A%5B%22swarm%22%5D%7D";
        let networks = get(&self.socket, SWARM).await?;
        let networks: Vec<Network> = serde_json::from_slice(&networks)?;
        let mut all = Vec::new();
        for network in networks {
            if !is_id(&network.id) {
                continue;
            }
            let path = format!("/networks/{}?verbose=true", network.id);
            match get(&self.socket, &path).await {
                Ok(answer) => all.extend(services(&answer)?),
                // It went meanwhile.
                Err(HttpError::Status(hyper::StatusCode::NOT_FOUND)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }
}

/// Whether it can stand in a path. Networks of Swarm have 25 letters and digits.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A network, as far as it matters. Those of Swarm tell of services when asked for by themselves.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    services: Option<BTreeMap<String, ListedService>>,
}

/// `ServiceInfo` of Docker's API.
#[derive(Deserialize)]
struct ListedService {
    #[serde(rename = "VIP", default)]
    vip: String,
    #[serde(rename = "LocalLBIndex", default)]
    mark: u32,
    #[serde(rename = "Ports", default)]
    ports: Option<Vec<String>>,
    #[serde(rename = "Tasks", default)]
    tasks: Option<Vec<ListedTask>>,
}

#[derive(Deserialize)]
struct ListedTask {
    #[serde(rename = "Name", default)]
    name: String,
    #[serde(rename = "EndpointIP", default)]
    address: String,
}

/// The services of a network. Containers that were attached by hand are told as one without a name.
fn services(answer: &[u8]) -> Result<Vec<Service>, serde_json::Error> {
    let network: Network = serde_json::from_slice(answer)?;
    let listed = network.services.unwrap_or_default().into_iter();
    Ok(listed
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, service)| Service {
            name,
            network: network.name.clone(),
            address: service.vip.parse().ok(),
            mark: Some(service.mark).filter(|mark| *mark != 0),
            ports: service.ports.unwrap_or_default(),
            tasks: service
                .tasks
                .unwrap_or_default()
                .into_iter()
                .filter_map(|task| {
                    Some(Task {
                        address: task.address.parse().ok()?,
                        name: task.name,
                    })
                })
                .collect(),
        })
        .collect())
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
        // Swarm's own, on each task's container.
        service: label("com.docker.swarm.service.name"),
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
                "io.kubernetes.pod.namespace":"default","io.kubernetes.pod.name":"web-0"}},
            {"Id":"dd","Names":["/shop.1.x1"],"State":"running","Labels":{
                "com.docker.swarm.service.name":"shop","com.docker.swarm.task.name":"shop.1.x1"}}
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
                ("k8s_POD_web-0_default_1_0", true),
                ("shop.1.x1", true)
            ]
        );
        let pod = Pod {
            namespace: "default".into(),
            name: "web-0".into(),
        };
        assert_eq!(named[3].pod, Some(pod));
        assert_eq!((&named[0].pod, &named[0].service), (&None, &None));
        assert_eq!(named[4].service.as_deref(), Some("shop"));
    }

    #[test]
    fn a_network_of_swarm_tells_its_services_with_their_marks_and_tasks() {
        let network = br#"{"Name":"ingress","Id":"n1","Scope":"swarm","Services":{
            "":{"VIP":"<nil>","Ports":[],"LocalLBIndex":0,"Tasks":[
                {"Name":"ingress-endpoint","EndpointIP":"10.0.0.2"}]},
            "shop":{"VIP":"10.0.0.3","Ports":["Target: 80, Publish: 8080"],"LocalLBIndex":257,
                "Tasks":[{"Name":"shop.1.x1","EndpointID":"e","EndpointIP":"10.0.0.4","Info":null},
                         {"Name":"shop.2.x2","EndpointID":"f","EndpointIP":"10.0.0.9"}]},
            "one-by-one":{"VIP":"","Ports":null,"LocalLBIndex":0,"Tasks":null}}}"#;
        let told = services(network).expect("a network");
        let shop = &told[1];
        assert_eq!(
            (shop.name.as_str(), shop.network.as_str()),
            ("shop", "ingress")
        );
        assert_eq!(shop.address, "10.0.0.3".parse().ok());
        assert_eq!((shop.mark, shop.ports.len()), (Some(257), 1));
        let tasks: Vec<_> = shop
            .tasks
            .iter()
            .map(|it| (it.name.as_str(), it.address))
            .collect();
        let address = |text: &str| text.parse().expect("an address");
        assert_eq!(
            tasks,
            [
                ("shop.1.x1", address("10.0.0.4")),
                ("shop.2.x2", address("10.0.0.9"))
            ]
        );
        // One that DNS balances has neither.
        assert_eq!((told[0].address, told[0].mark), (None, None));
        assert_eq!(told.len(), 2);
        // Networks that aren't Swarm's have none.
        assert!(
            services(br#"{"Name":"bridge","Id":"n2"}"#)
                .expect("a network")
                .is_empty()
        );
        assert!(services(b"7").is_err());
        assert!(is_id("n1") && !is_id("a/b") && !is_id(""));
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for answer in [&b""[..], b"{}", b"[{}]", b"[", br#"{"message":"no"}"#] {
            assert!(read(answer, Engine::Docker).is_err());
        }
    }
}
