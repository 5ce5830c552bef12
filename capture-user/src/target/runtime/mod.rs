//! The names of containers, from those who gave them.
//!
//! Whose a process is, its control groups tell by an id. The names belonging to the ids only the
//! container engines know, each over a socket of its own:
//!
//! - `docker`: Docker's API, which podman offers too
//! - `http`: one question over such a socket
//! - [`pods`]: the names of pods, which kubelet writes down
//!
//! An engine may hang, and a capture must not: each gets two seconds to answer.

mod docker;
mod http;
mod pods;

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use self::docker::Docker;
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
    let mut names = Names::default();
    let (docker, podman) = tokio::join!(
        ask(Docker::usual(Engine::Docker)),
        ask(Docker::usual(Engine::Podman))
    );
    for answer in [docker, podman] {
        match answer {
            Answer::None => {}
            Answer::Failure(failure) => names.failures.push(failure),
            Answer::Containers(containers) => {
                names.answered = true;
                names.containers.extend(containers);
            }
        }
    }
    names
}

/// What an engine has to say.
enum Answer {
    /// It isn't there.
    None,
    /// It is there, and this is why it doesn't tell.
    Failure(String),
    Containers(Vec<Named>),
}

async fn ask(engine: Result<Docker, String>) -> Answer {
    let engine = match engine {
        Ok(engine) => engine,
        Err(why) => return Answer::Failure(why),
    };
    let socket: PathBuf = engine.socket().to_owned();
    if !socket.exists() {
        return Answer::None;
    }
    let why = match tokio::time::timeout(PATIENCE, engine.containers()).await {
        Ok(Ok(containers)) => return Answer::Containers(containers),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Answer::Failure(format!(
        "{} at {} doesn't tell its containers' names: {why}",
        engine.name(),
        socket.display()
    ))
}
