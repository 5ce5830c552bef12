//! Whose process it is, by the control groups that it is in.
//!
//! Container engines put each container into a control group of its own and write its id into the
//! path. How, is a convention of each engine and cgroup driver (`cgroupfs` or `systemd`), the same
//! for cgroup v1 and v2. That tells a container without asking anybody, and a pod's uid with it.
//!
//! - Docker: `/docker/ID`, `docker-ID.scope` (libcontainer's drivers)
//! - containerd under Kubernetes: `…/podUID/ID`, `cri-containerd-ID.scope`, and
//!   `…slice:cri-containerd:ID` where the two disagree on the driver; alone: `/NAMESPACE/ID`;
//!   nerdctl: `nerdctl-ID.scope`
//! - CRI-O: `crio-ID`, `crio-ID.scope`; `crio-conmon-ID.scope` holds only its monitor
//! - podman: `libpod-ID`, `libpod-ID.scope`, below it `container`; `libpod-conmon-ID` likewise
//! - kubelet: `…-podUID.slice` with `_` for `-`, `/podUID`

use serde::{Serialize, Serializer};

/// What made a container, as far as the path tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Docker.
    Docker,
    /// containerd, by itself or for Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// podman.
    Podman,
    /// The path holds an id and doesn't say whose: containerd or Docker under Kubernetes.
    Unknown,
}

impl Engine {
    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Unknown => "unknown",
        }
    }
}

impl Serialize for Engine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A container by its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// What made it.
    pub engine: Engine,
    /// The uid of the pod that it is part of, with dashes where the path has `_`.
    pub pod: Option<String>,
}

/// As much of an id as people are shown; Docker's tools do it likewise.
#[must_use]
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Whose a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The containers around it, the outermost first: a container may run containers.
    pub containers: Vec<Container>,
    /// The systemd unit that it belongs to, where it is in no container: `ssh.service`.
    pub unit: Option<String>,
}

/// Reads `/proc/PID/cgroup` (proc_pid_cgroup(5)): a line `NUMBER:CONTROLLERS:PATH` for each
/// hierarchy. Paths begin at the reader's own group, so they may begin with `/..`.
#[must_use]
pub fn owner(text: &str) -> Owner {
    let paths = || {
        text.lines()
            .filter_map(|line| line.splitn(3, ':').nth(2))
            .map(|path| path.strip_suffix(" (deleted)").unwrap_or(path))
    };
    // Not every hierarchy is used by every engine: the path that tells most does.
    let containers = paths()
        .map(containers)
        .max_by_key(Vec::len)
        .unwrap_or_default();
    let unit = match containers.is_empty() {
        true => paths().find_map(unit),
        false => None,
    };
    Owner { containers, unit }
}

fn containers(path: &str) -> Vec<Container> {
    let mut found: Vec<Container> = Vec::new();
    let mut pod = None;
    let mut before = "";
    for part in path.split('/').filter(|part| !part.is_empty()) {
        pod = pod_uid(part).or(pod);
        if let Some((id, engine)) = container(part, before) {
            // Nested groups of one container, and those that repeat its id, are one container.
            if found.last().is_none_or(|last| last.id != id) {
                found.push(Container {
                    id: id.to_owned(),
                    engine,
                    // Each container of a container of Kubernetes is in a pod of its own.
                    pod: pod.take(),
                });
            }
        }
        before = part;
    }
    found
}

/// The container that a part of a path names, knowing the part before it.
fn container<'a>(part: &'a str, before: &str) -> Option<(&'a str, Engine)> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    if let Some((rest, id)) = part.rsplit_once(':') {
        let prefix = rest.rsplit(':').next().unwrap_or(rest);
        return is_id(id).then(|| (id, engine(prefix)));
    }
    if is_id(part) {
        let engine = match before {
            "docker" | "ecs" => Engine::Docker,
            "libpod_parent" => Engine::Podman,
            "default" | "k8s.io" | "moby" => Engine::Containerd,
            _ => Engine::Unknown,
        };
        return Some((part, engine));
    }
    let (prefix, id) = part.rsplit_once('-')?;
    // The monitor of a container isn't in it, nor in its network.
    if !is_id(id) || prefix.ends_with("conmon") {
        return None;
    }
    Some((id, engine(prefix)))
}

fn engine(prefix: &str) -> Engine {
    match prefix {
        "docker" => Engine::Docker,
        "cri-containerd" | "containerd" | "nerdctl" => Engine::Containerd,
        "crio" => Engine::CriO,
        "libpod" | "libpod-payload" => Engine::Podman,
        _ => Engine::Unknown,
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The uid in `podUID`, or in `…-podUID.slice`; `SLICE:PREFIX:ID` begins with one as well.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.split(':').next().unwrap_or(part);
    let name = match part.strip_suffix(".slice") {
        Some(slice) if slice.starts_with("kubepods") || slice.contains("-kubepods") => {
            slice.rsplit_once("-pod")?.1
        }
        Some(_) => return None,
        None => part.strip_prefix("pod")?,
    };
    let uid = name.replace('_', "-");
    // The API server's are UUIDs; those of pods from files are hashes, 32 digits without dashes.
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|byte| *byte == b'-').count();
    (digits == 32 && (dashes == 4 || dashes == 0) && digits + dashes == uid.len()).then_some(uid)
}

/// The innermost unit of systemd in a path.
fn unit(path: &str) -> Option<String> {
    path.rsplit('/')
        .find(|part| part.ends_with(".service") || part.ends_with(".scope"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests;
