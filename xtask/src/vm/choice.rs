//! Which tests a guest runs: those whose outcome a kernel can change.

use std::fs;

use anyhow::{Result, bail};

use crate::workspace;

/// What of a test file is run.
#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    /// Tests whose name has one of these in it.
    Only(&'static [&'static str]),
}

/// The test files of the matrix, and what of each: the abilities, what the verifier must take, each
/// way to attach, and one case of each thing that a capture rests on the kernel for. What is left
/// out rests on no kernel (how a header is parsed, how a line looks), or is a case more of what is
/// here: an emulated machine takes seconds over each capture.
const MATRIX: [(&str, Part); 22] = [
    ("kernel_abilities", Part::All),
    ("doctor_command", Part::Only(&["a_capture_says"])),
    (
        "kernel_programs",
        Part::Only(&["all_programs", "the_xdp", "without_perfmon"]),
    ),
    ("expressions", Part::Only(&["accepted::"])),
    (
        "kernel_inner",
        Part::Only(&["under_xdp", "what_only_looks"]),
    ),
    (
        "kernel_parse",
        Part::Only(&["hooks::", "records::a_full", "super_frames"]),
    ),
    ("kernel_follow", Part::Only(&["beyond_masquerading"])),
    (
        "kernel_events",
        Part::Only(&["a_port_that", "without_lingering", "a_segment"]),
    ),
    ("attachment", Part::Only(&["another_filter", "of_two"])),
    ("sweep", Part::Only(&["others_filters", "next_capture"])),
    ("xdp", Part::Only(&["native", "larger", "a_program_that"])),
    (
        "privileges",
        Part::Only(&["three", "without_perfmon", "sweeping"]),
    ),
    (
        "capture_equals_tcpdump",
        Part::Only(&["out_of_the_frame", "come_in"]),
    ),
    ("filters", Part::Only(&["different_kinds"])),
    ("limits", Part::Only(&["a_packet_limit_ends"])),
    ("ledger", Part::Only(&["what_overflows"])),
    ("signals", Part::Only(&["a_kill_leaves"])),
    (
        "ipvs",
        Part::Only(&["a_balanced", "a_reset", "services_and", "a_service"]),
    ),
    ("workloads", Part::Only(&["ipvlan"])),
    (
        "nat_verdicts",
        Part::Only(&["over_ipv6", "publishes", "both_ends"]),
    ),
    (
        "reset_verdicts",
        Part::Only(&[
            "nobody_listens_in_the_pod",
            "on_the_node_rejects_a_new",
            "backlog",
            "in_the_pod_aborts",
            "of_a_published_server",
            "masquerade_has_expired",
        ]),
    ),
    // Last: a guest stays locked down.
    ("forbidden", Part::Only(&["lockdown"])),
];

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    files: Vec<File>,
}

/// A test file and what of it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    name: String,
    /// Only tests whose name has one of these in it; all, if there are none.
    only: Vec<String>,
}

impl Choice {
    /// The matrix's own tests, or those that a filter names: `FILE`, `FILE::PART-OF-A-TEST` for
    /// any test file there is, or a part of a test's name in the matrix's files.
    pub(super) fn new(filters: &[String]) -> Result<Self> {
        Self::among(&test_files()?, filters)
    }

    fn among(existing: &[String], filters: &[String]) -> Result<Self> {
        let mut files = Vec::new();
        for filter in filters {
            let (name, only) = match filter.split_once("::") {
                Some((name, only)) => (name, vec![only.to_owned()]),
                None => (filter.as_str(), Vec::new()),
            };
            if existing.iter().any(|file| file == name) {
                files.push(File {
                    name: name.to_owned(),
                    only,
                });
            } else if only.is_empty() {
                files.extend(matrix().map(|file| File {
                    only: vec![filter.clone()],
                    ..file
                }));
            } else {
                bail!("there is no test file `{name}` in tests/tests");
            }
        }
        if filters.is_empty() {
            files.extend(matrix());
        }
        Ok(Self { files })
    }

    /// The names of the test files, each once.
    pub(super) fn files(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// One test file's runs, each with the parts of names that its program is given.
    pub(super) fn runs(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.files
            .iter()
            .map(|file| (file.name.as_str(), file.only.as_slice()))
    }
}

/// The names of the matrix's test files, in the order in which they are run.
pub(super) fn matrix_files() -> impl Iterator<Item = &'static str> {
    MATRIX.into_iter().map(|(name, _)| name)
}

fn matrix() -> impl Iterator<Item = File> {
    MATRIX.into_iter().map(|(name, part)| File {
        name: name.to_owned(),
        only: match part {
            Part::All => Vec::new(),
            Part::Only(words) => words.iter().map(|&word| word.to_owned()).collect(),
        },
    })
}

fn test_files() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace::root().join("tests/tests"))? {
        let path = entry?.path();
        let is_test =
            path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
        if is_test && let Some(name) = path.file_stem().and_then(|name| name.to_str()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(filters: &[&str]) -> Result<Choice> {
        let filters: Vec<String> = filters.iter().map(|&f| f.to_owned()).collect();
        Choice::among(&["limits".to_owned(), "lines".to_owned()], &filters)
    }

    #[test]
    fn without_a_filter_the_matrix_is_run() {
        let all = choice(&[]).expect("a choice");
        assert_eq!(all.runs().count(), MATRIX.len());
    }

    #[test]
    fn a_file_is_run_whether_the_matrix_has_it_or_not() {
        let one = choice(&["lines", "limits::exact"]).expect("a choice");
        let runs: Vec<_> = one.runs().collect();
        assert_eq!(runs[0], ("lines", [].as_slice()));
        assert_eq!(runs[1], ("limits", ["exact".to_owned()].as_slice()));
    }

    #[test]
    fn another_word_is_looked_for_in_the_matrixs_tests() {
        let named = choice(&["a_part"]).expect("a choice");
        assert_eq!(named.runs().count(), MATRIX.len());
        assert!(named.runs().all(|(_, arguments)| arguments[0] == "a_part"));
    }

    #[test]
    fn a_file_that_isnt_there_is_no_choice() {
        assert!(choice(&["nowhere::test"]).is_err());
    }

    #[test]
    fn the_matrixs_files_exist() {
        let existing = test_files().expect("the folder");
        for (name, _) in MATRIX {
            assert!(existing.iter().any(|file| file == name), "{name}");
        }
    }
}
