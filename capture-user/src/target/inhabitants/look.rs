//! Finding out who lives where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::{Container, DOCKERS_NAMESPACES, Here, INGRESS, Inhabitant, Inhabitants, Process};
use crate::target::links::{Link, own_addresses};
use crate::target::netns::{Ids, links_of};
use crate::target::process::cgroup::Engine;
use crate::target::process::{Seen, scan};
use crate::target::runtime::{Names, names, pods, services};
use crate::target::workload::{NAMED_NAMESPACES, open_namespace};

impl Inhabitants {
    /// Looks at what is behind those of the links that lead into other namespaces. What can't be
    /// found out is left out. `here` is whose the namespace is that is looked from, if it was
    /// entered.
    ///
    /// Container engines are asked for names only where there are containers.
    pub async fn look(links: &[Link], here: Option<&Here>) -> Self {
        let wanted: BTreeSet<i32> = links
            .iter()
            .filter_map(|link| link.peer?.netns_id)
            .collect();
        let mut found = Self {
            here: here.cloned(),
            ..Self::default()
        };
        if wanted.is_empty() && here.is_none() {
            return found;
        }
        // Of what can't be found out nothing is said; the links themselves are what was asked for.
        let _ = found.fill(wanted).await;
        found
    }

    async fn fill(&mut self, wanted: BTreeSet<i32>) -> io::Result<()> {
        self.own = own_addresses().await?.into_iter().collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut ids = Ids::open()?;
        let mut living: BTreeMap<i32, Vec<Seen>> = BTreeMap::new();
        for seen in scan() {
            // One that has ended meanwhile lives nowhere.
            if let Ok(Some(netns)) = ids.of_process(seen.process.pid).await
                && wanted.contains(&netns)
            {
                living.entry(netns).or_default().push(seen);
            }
        }
        let contains_containers = living
            .values()
            .flatten()
            .any(|seen| !seen.owner.containers.is_empty());
        let names = match contains_containers {
            true => names().await,
            false => Names::default(),
        };
        let pods = pods();
        for (netns, seen) in living {
            let mut inhabitant = inhabitant(seen);
            for container in &mut inhabitant.containers {
                complete(container, &names);
                if container.pod.is_none() {
                    let uid = container.pod_uid.as_deref();
                    container.pod = uid.and_then(|uid| pods.get(uid)).cloned();
                }
                if container.name.is_none() && container.pod.is_none() {
                    self.missing = names
                        .why_missing()
                        .map(|why| format!("containers are told by their ids: {why}"));
                }
            }
            self.by_netns.insert(netns, inhabitant);
        }
        for (netns, name, folder) in named(&mut ids).await {
            if wanted.contains(&netns) {
                let inhabitant = self.by_netns.entry(netns).or_default();
                inhabitant.ingress |= folder == DOCKERS_NAMESPACES && name == INGRESS;
                inhabitant.netns.push(name);
            }
        }
        if self.by_netns.values().any(|inhabitant| inhabitant.ingress) {
            match services().await {
                Ok(services) => self.services = services,
                Err(why) => {
                    let missing = || format!("Swarm's services are told by their marks: {why}");
                    self.missing.get_or_insert_with(missing);
                }
            }
        }
        for netns in wanted {
            if let Some(links) = links_of(netns).await {
                self.by_netns.entry(netns).or_default().links = links;
            }
        }
        Ok(())
    }
}

/// The namespaces with names, by their numbers, and the folders that the names are in.
async fn named(ids: &mut Ids) -> Vec<(i32, String, &'static str)> {
    let mut named = Vec::new();
    for folder in NAMED_NAMESPACES {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Ok(file) = open_namespace(&entry.path())
                && let Ok(Some(netns)) = ids.of_file(&file).await
            {
                let name = entry.file_name().to_string_lossy().into_owned();
                named.push((netns, name, folder));
            }
        }
    }
    named.sort();
    named
}

/// Who lives in one namespace, by the processes that do.
pub(super) fn inhabitant(mut seen: Vec<Seen>) -> Inhabitant {
    seen.sort_by_key(|seen| (seen.process.started(), seen.process.pid));
    let mut containers: Vec<Container> = Vec::new();
    for one in &seen {
        // Of containers in containers it is the inner one that is in the namespace, unless the
        // outer one has processes there too.
        if let Some(innermost) = one.owner.containers.last()
            && containers.iter().all(|known| known.id != innermost.id)
        {
            containers.push(Container {
                id: innermost.id.clone(),
                name: None,
                engine: innermost.engine,
                pod: None,
                pod_uid: innermost.pod.clone(),
                service: None,
            });
        }
    }
    let process = seen.first().map(|oldest| Process {
        pid: oldest.process.pid,
        name: oldest.process.name(),
        unit: oldest.owner.unit.clone(),
    });
    let shared = seen
        .first()
        .is_some_and(|oldest| oldest.owner.containers.is_empty());
    Inhabitant {
        containers,
        process,
        shared,
        ..Inhabitant::default()
    }
}

/// Adds what its engine knows of it.
pub(super) fn complete(container: &mut Container, names: &Names) {
    let Some(named) = names.of(&container.id) else {
        return;
    };
    container.name = Some(named.name.clone());
    container.pod.clone_from(&named.pod);
    container.service.clone_from(&named.service);
    if container.engine == Engine::Unknown {
        container.engine = named.engine;
    }
}
