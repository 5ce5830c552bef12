//! What a guest says over its second serial line: the plan's steps, and what libtest says of each
//! test.
//!
//! Lines of the plan's own start with `@vm `; a test that can't run here says so in a line that
//! `lab::ability` writes.

use std::collections::{BTreeMap, BTreeSet};

use crate::test::SKIPPED;

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed,
    /// It wasn't run, and why.
    Skipped(String),
}

/// A step of the plan: one program, run once, or again after a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// The test file, or what else was run.
    pub(super) name: String,
    /// Each test of it, by name.
    pub(super) tests: BTreeMap<String, Verdict>,
    /// Which of them failed before the program was run again.
    pub(super) failed_before: BTreeSet<String>,
    /// The program's exit status, the last time; none if it didn't come to that.
    pub(super) status: Option<i32>,
    /// What it said, all of it.
    pub(super) output: String,
}

impl Step {
    /// What is told from here on is of another run.
    fn again(&mut self) {
        self.status = None;
        for (name, verdict) in std::mem::take(&mut self.tests) {
            if verdict == Verdict::Failed {
                self.failed_before.insert(name);
            }
        }
    }

    /// Why the step counts as failed although each test that it told of may have passed.
    pub(super) fn broken(&self) -> Option<String> {
        let has_failed = self
            .tests
            .values()
            .any(|verdict| *verdict == Verdict::Failed);
        match self.status {
            Some(0) => None,
            // libtest's own status for failed tests.
            Some(101) if has_failed => None,
            // timeout(1)'s, for what it ended by TERM and by KILL.
            Some(124 | 137) => Some("took longer than a test file may".to_owned()),
            Some(status) => Some(format!("ended with status {status}")),
            None => Some("didn't end".to_owned()),
        }
    }
}

/// All that one guest said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Results {
    pub(super) steps: Vec<Step>,
    /// Whether the plan came to its end.
    pub(super) is_complete: bool,
}

impl Results {
    /// Reads what came so far.
    pub(super) fn read(said: &str) -> Self {
        let mut results = Self::default();
        let mut skipped = Vec::new();
        for line in said.lines() {
            let line = line.trim_end_matches('\r');
            if let Some(own) = line.strip_prefix("@vm ") {
                let words: Vec<&str> = own.split_ascii_whitespace().collect();
                match words.as_slice() {
                    ["start", name] => results.steps.push(Step {
                        name: (*name).to_owned(),
                        ..Step::default()
                    }),
                    ["again", _] => {
                        if let Some(step) = results.steps.last_mut() {
                            step.again();
                        }
                    }
                    ["end", status] => {
                        if let Some(step) = results.steps.last_mut() {
                            step.status = status.parse().ok();
                            skip(step, &std::mem::take(&mut skipped));
                        }
                    }
                    ["done"] => results.is_complete = true,
                    _ => {}
                }
                continue;
            }
            let Some(step) = results.steps.last_mut() else {
                continue;
            };
            step.output.push_str(line);
            step.output.push('\n');
            if let Some((name, why)) = skip_line(line) {
                skipped.push((name.to_owned(), why.to_owned()));
            } else if let Some((name, verdict)) = test_line(line) {
                step.tests.insert(name.to_owned(), verdict);
            }
        }
        results
    }

    /// Passed, failed, skipped. A step that broke counts as one more failure.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let count = |wanted: fn(&Verdict) -> bool| {
            let verdicts = self.steps.iter().flat_map(|step| step.tests.values());
            verdicts.filter(|verdict| wanted(verdict)).count()
        };
        let broken = self.steps.iter().filter(|step| step.broken().is_some());
        (
            count(|verdict| *verdict == Verdict::Passed),
            count(|verdict| *verdict == Verdict::Failed) + broken.count(),
            count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        )
    }
}

fn skip(step: &mut Step, skipped: &[(String, String)]) {
    for (name, why) in skipped {
        // One that failed after it said so has failed.
        if let Some(verdict) = step.tests.get_mut(name)
            && *verdict == Verdict::Passed
        {
            *verdict = Verdict::Skipped(why.clone());
        }
    }
}

/// `skipped: TEST: WHY`, as `lab::ability::need` says it.
pub(super) fn skip_line(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix(SKIPPED)?.split_once(": ")
}

/// `test NAME ... ok`, `FAILED`, `ignored` or `ignored, WHY`.
fn test_line(line: &str) -> Option<(&str, Verdict)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let name = name.strip_suffix(" - should panic").unwrap_or(name);
    let verdict = match verdict.trim() {
        "ok" => Verdict::Passed,
        "FAILED" => Verdict::Failed,
        ignored => {
            let why = ignored.strip_prefix("ignored")?;
            Verdict::Skipped(why.trim_start_matches(", ").to_owned())
        }
    };
    Some((name, verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "@vm start limits\r\nrunning 3 tests\r\ntest a ... ok\r\n\
        skipped: b: no TCX\r\ntest b ... ok\r\ntest c ... FAILED\r\n\
        test d ... ignored, slow\r\n@vm end 101\r\n@vm done\r\n";

    #[test]
    fn tests_are_counted_by_what_became_of_them() {
        let results = Results::read(SAID);
        assert_eq!(results.counts(), (1, 1, 2));
        assert!(results.is_complete);
        assert_eq!(
            results.steps[0].tests["b"],
            Verdict::Skipped("no TCX".to_owned())
        );
    }

    #[test]
    fn of_two_runs_the_second_counts_and_the_firsts_failures_are_kept() {
        let said = "@vm start x\ntest a ... ok\ntest b ... FAILED\n@vm end 101\n\
            @vm again x\ntest a ... ok\ntest b ... ok\n@vm end 0\n";
        let results = Results::read(said);
        assert_eq!(results.counts(), (2, 0, 0));
        assert_eq!(
            results.steps[0].failed_before,
            BTreeSet::from(["b".to_owned()])
        );
        // What doesn't come to an end the second time has failed.
        assert_eq!(Results::read(&said[..said.len() - 9]).counts(), (2, 1, 0));
    }

    #[test]
    fn a_program_that_died_counts_as_a_failure() {
        let results = Results::read("@vm start x\ntest a ... ok\n@vm end 139\n");
        assert_eq!(results.counts(), (1, 1, 0));
        assert!(!results.is_complete);
    }

    #[test]
    fn a_guest_that_stopped_in_the_middle_of_a_program_has_failed_it() {
        assert_eq!(
            Results::read("@vm start x\ntest a ... ok\n").counts(),
            (1, 1, 0)
        );
    }

    #[test]
    fn what_is_said_outside_of_the_plan_counts_as_nothing() {
        assert_eq!(Results::read("test a ... ok\n"), Results::default());
    }
}
