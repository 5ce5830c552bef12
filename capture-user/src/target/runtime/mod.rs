//! The names of containers, from those who gave them.
//!
//! Whose a process is, its control groups tell by an id. The names belonging to the ids only the
//! container engines know, each over a socket of its own:
//!
//! - `docker`: Docker's API, which podman offers too, and Swarm's services
//! - `cri`: the interface that containerd and CRI-O have for kubelet
//! - `http`, `grpc`: one question over such a socket
//! - [`pods`]: the names of pods, which kubelet writes down
//!
//! An engine may hang, and a capture must not: each gets two seconds to answer.

mod cri;
mod docker;
mod grpc;
mod http;
mod pods;

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use self::docker::Docker;
use self::grpc::GrpcError;
pub use self::pods::pods;
use super::name::printable;
use super::process::cgroup::Engine;

/// How long an engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// A container as its engine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What people call it. Print it through [`crate::target::name::printable`].
    pub name: String,
    /// Which engine says so.
    pub engine: Engine,
    /// Whether it runs.
    pub running: bool,
    /// The pod that it is part of.
    pub pod: Option<Pod>,
    /// The service of Docker Swarm that it is a task of.
    pub service: Option<String>,
}

/// A service of Docker Swarm, as one of its networks knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its name. Print it through [`crate::target::name::printable`].
    pub name: String,
    /// The network's.
    pub network: String,
    /// Its virtual address there, which IPVS balances; none where DNS does that.
    pub address: Option<IpAddr>,
    /// The mark (fwmark) that this node's Docker gives to packets for it, by which IPVS knows them.
    pub mark: Option<u32>,
    /// The ports that it publishes, in Docker's words.
    pub ports: Vec<String>,
    /// What runs for it, on any node.
    pub tasks: Vec<Task>,
}

/// What runs for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its container's name.
    pub name: String,
    /// Its address on the network.
    pub address: IpAddr,
}

/// A pod by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Pod {
    /// The namespace of Kubernetes that it is in.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl Display for Pod {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let (namespace, name) = (printable(&self.namespace), printable(&self.name));
        write!(out, "{namespace}/{name}")
    }
}

/// What the engines of this node know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Their containers, those that don't run too.
    pub containers: Vec<Named>,
    /// Why an engine that is there didn't tell, one line each.
    pub failures: Vec<String>,
    /// Whether any engine answered.
    pub answered: bool,
}

impl Names {
    /// The container with this id.
    #[must_use]
    pub fn of(&self, id: &str) -> Option<&Named> {
        self.containers.iter().find(|named| named.id == id)
    }

    /// Why names are missing, in words.
    #[must_use]
    pub fn why_missing(&self) -> Option<String> {
        match (self.failures.as_slice(), self.answered) {
            ([], true) => None,
            ([], false) => Some("no container engine answers here".into()),
            (failures, _) => Some(failures.join("; ")),
        }
    }
}

/// Asks every engine that there is.
pub async fn names() -> Names {
    let (docker, podman, cri) = tokio::join!(
        ask_docker(Engine::Docker),
        ask_docker(Engine::Podman),
        ask_cri()
    );
    let mut names = Names::default();
    for answer in cri.into_iter().chain([docker, podman]) {
        match answer {
            Answer::None => {}
            Answer::Failure(failure) => names.failures.push(failure),
            Answer::Containers(containers) => {
                names.answered = true;
                // What two engines know is one container: Docker's are containerd's too.
                for named in containers {
                    if names.of(&named.id).is_none() {
                        names.containers.push(named);
                    }
                }
            }
        }
    }
    names
}

/// The services of Swarm on this node, from Docker; an error says why they aren't known.
///
/// # Errors
///
/// One line, as [`Names::failures`].
pub async fn services() -> Result<Vec<Service>, String> {
    let docker = Docker::usual(Engine::Docker)?;
    if !docker.socket.exists() {
        return Err("no Docker answers here".into());
    }
    let why = match tokio::time::timeout(PATIENCE, docker.services()).await {
        Ok(Ok(services)) => return Ok(services),
        Ok(Err(error)) => error.to_string(),
        Err(_) => too_late(),
    };
    Err(format!(
        "docker at {} doesn't tell Swarm's services: {why}",
        printable(&docker.socket.to_string_lossy())
    ))
}

fn too_late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

/// What an engine has to say.
enum Answer {
    /// It isn't there.
    None,
    /// It is there, and this is why it doesn't tell.
    Failure(String),
    Containers(Vec<Named>),
}

async fn ask_docker(engine: Engine) -> Answer {
    match Docker::usual(engine) {
        Ok(docker) => {
            let answer = async {
                let containers = docker.containers().await;
                containers.map(Some).map_err(|error| error.to_string())
            };
            wait_for(&docker.socket, docker.engine, answer).await
        }
        Err(why) => Answer::Failure(why),
    }
}

async fn ask_cri() -> Vec<Answer> {
    let engines = match cri::engines() {
        Ok(engines) => engines,
        Err(why) => return vec![Answer::Failure(why)],
    };
    let mut answers = Vec::new();
    for engine in engines {
        let answer = async {
            match engine.containers().await {
                // containerd as Docker brings it along.
                Err(GrpcError::Unimplemented) => Ok(None),
                Err(error) => Err(error.to_string()),
                Ok(containers) => Ok(Some(containers)),
            }
        };
        answers.push(wait_for(&engine.socket, engine.engine, answer).await);
    }
    answers
}

/// What comes of a question, if the engine is there and answers in time. One that knows no
/// containers at all, and never will, answers with none.
async fn wait_for(
    socket: &Path,
    engine: Engine,
    answer: impl Future<Output = Result<Option<Vec<Named>>, String>>,
) -> Answer {
    if !socket.exists() {
        return Answer::None;
    }
    let why = match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Some(containers))) => return Answer::Containers(containers),
        Ok(Ok(None)) => return Answer::None,
        Ok(Err(why)) => why,
        Err(_) => too_late(),
    };
    let engine = match engine {
        Engine::Unknown => "the engine",
        known => known.name(),
    };
    Answer::Failure(format!(
        "{engine} at {} doesn't tell its containers' names: {why}",
        printable(&socket.to_string_lossy())
    ))
}
