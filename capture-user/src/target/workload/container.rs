//! Containers by id and by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Ids, Place, some_of};
use crate::error::{Error, Result};
use crate::target::name::printable;
use crate::target::process::cgroup::short;
use crate::target::process::{Process, Seen, scan};
use crate::target::runtime::{self, Named, Names};

/// From so many digits on, what was typed is an id, and nobody has to be asked for names.
const SURELY_AN_ID: usize = 12;

/// A container that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its whole id.
    pub(super) id: String,
    /// Its name, as far as anybody knows.
    pub(super) name: Option<String>,
    /// Its first process.
    pub(super) process: Process,
}

impl Found {
    /// Where it is.
    pub(super) async fn place(&self, ids: &mut Ids) -> Result<Place> {
        let whose = match &self.name {
            Some(name) => format!("container {} ({})", printable(name), short(&self.id)),
            None => format!("container {}", short(&self.id)),
        };
        let pid = self.process.pid;
        let netns = ids.of_process(pid).await.map_err(|error| {
            Error::failure(format!(
                "{whose}: can't ask for its network namespace: {error}; try again"
            ))
        })?;
        Ok(Place {
            netns,
            file: PathBuf::from(format!("/proc/{pid}/ns/net")),
            whose,
            container: Some(self.id.clone()),
            process: Some(self.process),
        })
    }
}

/// Finds a running container by its id, by the beginning of it, or by its name.
pub(super) async fn find(which: &str) -> Result<Found> {
    let seen = scan();
    let running = first_processes(&seen);
    if which.len() >= SURELY_AN_ID
        && let [(id, process)] = *beginning_with(which, &running)
    {
        return Ok(Found {
            id: id.into(),
            name: None,
            process,
        });
    }
    let names = runtime::names().await;
    let (id, name) = choose(which, &running, &names)?;
    match running.get(id.as_str()) {
        Some(process) => Ok(Found {
            id,
            name,
            process: *process,
        }),
        None => Err(Error::failure(format!(
            "--container {}: none of its processes can be seen: it doesn't run, or runs where \
             nodecap can't look (a virtual machine; nodecap in a process namespace of its own): \
             start it, and run nodecap on the node itself",
            printable(which)
        ))),
    }
}

/// The first process of the container with this id; none while it doesn't run.
pub(super) fn first_process(id: &str) -> Option<Process> {
    first_processes(&scan()).get(id).copied()
}

/// Each container's first process: the oldest of those that aren't in a container inside it.
pub(super) fn first_processes(seen: &[Seen]) -> BTreeMap<&str, Process> {
    let mut first: BTreeMap<&str, (usize, Process)> = BTreeMap::new();
    for one in seen {
        let around = one.owner.containers.iter().rev().enumerate();
        for (inside, container) in around {
            let candidate = (inside, one.process);
            first
                .entry(&container.id)
                .and_modify(|known| {
                    if (candidate.0, candidate.1.started()) < (known.0, known.1.started()) {
                        *known = candidate;
                    }
                })
                .or_insert(candidate);
        }
    }
    first
        .into_iter()
        .map(|(id, (_, process))| (id, process))
        .collect()
}

fn beginning_with<'a>(
    which: &str,
    running: &BTreeMap<&'a str, Process>,
) -> Vec<(&'a str, Process)> {
    running
        .iter()
        .filter(|(id, _)| begins_with(id, which))
        .map(|(id, process)| (*id, *process))
        .collect()
}

/// Whether what was typed is the beginning of an id.
fn begins_with(id: &str, which: &str) -> bool {
    !which.is_empty() && id.starts_with(&which.to_ascii_lowercase())
}

/// The id and the name of what was meant, as Docker chooses: a whole id, a name, the beginning of
/// an id.
fn choose(
    which: &str,
    running: &BTreeMap<&str, Process>,
    names: &Names,
) -> Result<(String, Option<String>)> {
    let called = |id: &str| names.of(id).map(|named| named.name.clone());
    if running.contains_key(which) {
        return Ok((which.to_owned(), called(which)));
    }
    let wanted = which.strip_prefix('/').unwrap_or(which);
    let by_name: Vec<&Named> = names
        .containers
        .iter()
        .filter(|named| named.name == wanted)
        .collect();
    match by_name.as_slice() {
        [one] => return Ok((one.id.clone(), Some(one.name.clone()))),
        [] => {}
        several => {
            let several = several.iter().map(|named| label(&named.id, Some(named)));
            return Err(ambiguous(which, several.collect()));
        }
    }
    let mut by_id: Vec<String> = beginning_with(which, running)
        .iter()
        .map(|(id, _)| (*id).to_owned())
        .collect();
    for named in &names.containers {
        let id = &named.id;
        if begins_with(id, which) && !by_id.contains(id) {
            by_id.push(id.clone());
        }
    }
    match by_id.as_slice() {
        [one] => Ok((one.clone(), called(one))),
        [] => Err(unknown(which, running, names)),
        several => Err(ambiguous(
            which,
            several.iter().map(|id| label(id, names.of(id))).collect(),
        )),
    }
}

fn label(id: &str, named: Option<&Named>) -> String {
    match named {
        Some(named) => {
            let pod = named.pod.as_ref();
            let of = pod.map_or_else(String::new, |pod| format!(" of pod {pod}"));
            format!("{}{of} ({})", printable(&named.name), short(id))
        }
        None => short(id).to_owned(),
    }
}

fn ambiguous(which: &str, candidates: Vec<String>) -> Error {
    Error::usage(format!(
        "--container {}: that could be {}: type more of the id",
        printable(which),
        some_of(candidates)
    ))
}

fn unknown(which: &str, running: &BTreeMap<&str, Process>, names: &Names) -> Error {
    let called = printable(which);
    let mut candidates: Vec<(usize, String)> = names
        .containers
        .iter()
        .filter(|named| named.running)
        .map(|named| {
            let distance = strsim::osa_distance(which, &named.name);
            (distance, label(&named.id, Some(named)))
        })
        .collect();
    let nameless = running.keys().filter(|id| names.of(id).is_none());
    candidates.extend(nameless.map(|id| (usize::MAX, label(id, None))));
    // The most similar first.
    candidates.sort();
    let why = match names.why_missing() {
        Some(why) => format!(" ({why}: give the id)"),
        None => String::new(),
    };
    let there_is = match candidates.is_empty() {
        true => "no container runs here".to_owned(),
        false => format!(
            "running here: {}",
            some_of(candidates.into_iter().map(|(_, label)| label).collect())
        ),
    };
    Error::usage(format!(
        "--container {called}: no container is called so{why}; {there_is}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::process::cgroup::{self, Engine};

    fn id(digit: char) -> String {
        digit.to_string().repeat(64)
    }

    fn process(pid: u32) -> Process {
        Process::example(pid)
    }

    fn seen(pid: u32, path: &str) -> Seen {
        Seen {
            process: process(pid),
            owner: cgroup::owner(&format!("0::{path}\n")),
        }
    }

    fn named(id: &str, name: &str) -> Named {
        Named {
            id: id.into(),
            name: name.into(),
            engine: Engine::Docker,
            running: true,
            pod: None,
            service: None,
        }
    }

    /// aaa… is web, abb… is db, ccc… runs and nobody knows its name.
    fn node() -> (Vec<Seen>, Names) {
        let (a, c) = (id('a'), id('c'));
        let b = format!("a{}", &id('b')[1..]);
        let seen = vec![
            seen(10, &format!("/docker/{a}")),
            seen(20, &format!("/docker/{b}")),
            seen(30, &format!("/docker/{c}")),
        ];
        let names = Names {
            containers: vec![named(&a, "web"), named(&b, "db")],
            failures: Vec::new(),
            answered: true,
        };
        (seen, names)
    }

    fn chosen(which: &str) -> Result<(String, Option<String>)> {
        let (seen, names) = node();
        choose(which, &first_processes(&seen), &names)
    }

    #[track_caller]
    fn refusal(which: &str) -> String {
        match chosen(which) {
            Err(Error::Usage(text)) => text,
            other => panic!("{which}: {other:?}"),
        }
    }

    #[test]
    fn an_id_a_name_and_the_beginning_of_an_id_find_a_container() {
        let web = (id('a'), Some("web".to_owned()));
        for which in [&*id('a'), "web", "/web", "aaa", "AAA"] {
            assert_eq!(chosen(which).expect(which), web);
        }
        assert_eq!(chosen("c").expect("c"), (id('c'), None));
    }

    #[test]
    fn a_name_comes_before_the_beginning_of_an_id() {
        let (seen, mut names) = node();
        names.containers.push(named(&id('d'), "aaa"));
        let found = choose("aaa", &first_processes(&seen), &names).expect("a name");
        assert_eq!(found, (id('d'), Some("aaa".into())));
    }

    #[test]
    fn what_could_be_several_is_told_with_all_of_them() {
        let text = refusal("a");
        assert!(
            text.contains("web (aaaaaaaaaaaa), db (abbbbbbbbbbb)"),
            "{text}"
        );
        let (seen, mut names) = node();
        names.containers.push(named(&id('d'), "web"));
        let error = choose("web", &first_processes(&seen), &names).expect_err("two");
        assert!(error.to_string().contains("dddddddddddd"), "{error}");
    }

    #[test]
    fn what_nobody_is_called_is_told_with_those_that_run_the_most_similar_first() {
        assert_eq!(
            refusal("wbe"),
            "--container wbe: no container is called so; running here: web (aaaaaaaaaaaa), \
             db (abbbbbbbbbbb), cccccccccccc"
        );
        assert!(refusal("").contains("no container is called so"));
    }

    #[test]
    fn missing_names_are_spoken_of() {
        let (seen, _) = node();
        let error = choose("web", &first_processes(&seen), &Names::default());
        let text = error.expect_err("nobody to ask").to_string();
        assert!(text.contains("no container engine answers here: give the id"));
        let none = choose("web", &BTreeMap::new(), &Names::default());
        let text = none.expect_err("nothing runs").to_string();
        assert!(text.contains("no container runs here"), "{text}");
    }

    #[test]
    fn the_first_process_of_a_container_is_not_one_of_a_container_inside_it() {
        let (outer, inner) = (id('a'), id('b'));
        let all = [
            seen(40, &format!("/docker/{outer}")),
            seen(30, &format!("/docker/{outer}/docker/{inner}")),
            seen(35, &format!("/docker/{outer}/docker/{inner}")),
            seen(45, &format!("/docker/{outer}/init.scope")),
        ];
        let first = first_processes(&all);
        assert_eq!(first[outer.as_str()], process(40));
        assert_eq!(first[inner.as_str()], process(30));
    }
}
