//! What runs on the node and is asked for by its own name instead of an interface's.
//!
//! - [`Workload`]: what was typed; [`Place`]: the network namespace that it was found in
//! - `followed`: where a workload of a capture is as time goes by
//! - `container`: containers by id and name; `pod`: pods by name; `netns`: namespaces by file and
//!   by name

mod container;
mod followed;
mod netns;
mod pod;

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

pub(super) use self::followed::Followed;
pub(crate) use self::netns::{FOLDERS as NAMED_NAMESPACES, open as open_namespace};
use super::links::Link;
use super::name::printable;
use super::netns::{Ids, is_own};
use super::process::Process;
use super::runtime::Pod;
use crate::error::{Error, Result};

/// Something whose interfaces are to be captured, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workload {
    /// `--pid`: a process, by its id in the process namespace that nodecap is in.
    Pid(u32),
    /// `--netns`: a network namespace, by its file or by its name.
    Netns(String),
    /// `--container`: a container, by its name, its id or the beginning of that.
    Container(String),
    /// `--pod`: a pod of Kubernetes.
    Pod(Pod),
}

impl Display for Workload {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => write!(out, "--pid {pid}"),
            Self::Netns(which) => write!(out, "--netns {}", printable(which)),
            Self::Container(which) => write!(out, "--container {}", printable(which)),
            Self::Pod(pod) => write!(out, "--pod {pod}"),
        }
    }
}

/// The network namespace that a workload was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number, if links of this namespace lead into it.
    pub netns: Option<i32>,
    /// A file that stands for it.
    pub file: PathBuf,
    /// Whose it is, for people.
    pub whose: String,
    /// The id of the container that it was found by.
    pub container: Option<String>,
    /// The process that it was found by: the first of a container or a pod.
    pub process: Option<Process>,
}

impl Place {
    /// The links that lead into it.
    pub fn host_side<'a>(&self, links: &'a [Link]) -> Vec<&'a Link> {
        links
            .iter()
            .filter(|link| leads_into(link, self.netns))
            .collect()
    }
}

/// Whether a link's other end is in the namespace with this number.
pub(super) fn leads_into(link: &Link, netns: Option<i32>) -> bool {
    netns.is_some() && link.peer.is_some_and(|peer| peer.netns_id == netns)
}

impl Workload {
    /// A pod as it was typed: `NAMESPACE/NAME`.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] for anything else.
    pub fn pod(text: &str) -> Result<Self> {
        pod::parse(text).map(Self::Pod)
    }

    /// Finds it.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] where there is no such thing, with what there is instead, and where it is
    /// in the network namespace that nodecap itself is in: then its packets can't be told from
    /// others by their interface. [`Error::Failure`] where it can't be looked up.
    pub async fn find(&self) -> Result<Place> {
        let place = self.locate().await?;
        if place.netns.is_none() && is_own(&place.file) == Some(true) {
            return Err(Error::usage(format!(
                "{self}: {} is in the same network namespace as nodecap, as with a container on \
                 the host network: its packets cross the node's own interfaces; name these with \
                 -i (or -i any), and tell its packets apart by --host, --port or an expression",
                place.whose
            )));
        }
        Ok(place)
    }

    /// Finds it, in whichever namespace it is.
    ///
    /// # Errors
    ///
    /// As [`Workload::find`], but for the one that it shares with nodecap.
    pub async fn locate(&self) -> Result<Place> {
        let mut ids = Ids::open().map_err(super::links::unreadable)?;
        match self {
            Self::Pid(pid) => self.find_process(*pid, &mut ids).await,
            Self::Netns(which) => netns::find(which, &mut ids).await,
            Self::Container(which) => container::find(which).await?.place(&mut ids).await,
            Self::Pod(pod) => {
                let process = pod::find(pod).await?;
                pod::place(pod, process, &mut ids).await
            }
        }
    }

    async fn find_process(&self, pid: u32, ids: &mut Ids) -> Result<Place> {
        let Some(process) = Process::find(pid) else {
            return Err(Error::usage(format!(
                "{self}: no such process here; processes are numbered anew in each container: \
                 give the number that `ps` shows where nodecap runs"
            )));
        };
        let netns = ids.of_process(pid).await.map_err(|error| {
            Error::failure(format!(
                "{self}: can't ask for its network namespace: {error}; try again"
            ))
        })?;
        Ok(Place {
            netns,
            file: PathBuf::from(format!("/proc/{pid}/ns/net")),
            whose: format!("process {} (pid {pid})", printable(&process.name())),
            container: None,
            process: Some(process),
        })
    }
}

/// How many candidates are told.
const CANDIDATES: usize = 10;

/// The first of the candidates, in words.
fn some_of(mut candidates: Vec<String>) -> String {
    let more = candidates.len().saturating_sub(CANDIDATES);
    candidates.truncate(CANDIDATES);
    let mut text = candidates.join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    text
}
