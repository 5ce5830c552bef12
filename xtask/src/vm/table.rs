//! `docs/kernels.md`: what each kernel of a matrix run can do, as `nodecap doctor` found it there,
//! and what was tested on it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::kernels::{self, Kernel, MATRIX};
use super::results::{Results, Step, Verdict};
use super::{choice, guest};
use crate::command::say;
use crate::workspace;

/// The plan's step that runs `nodecap doctor --json`.
pub(super) const DOCTOR: &str = "doctor";

/// One line of the doctor's, on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ability {
    name: String,
    is_there: bool,
    why: String,
    effect: String,
}

/// What a guest of a kernel said.
struct Report {
    kernel: Kernel,
    results: Results,
}

/// Writes the document from the last run on each kernel, all of which must be of the whole matrix.
pub(super) fn run() -> Result<()> {
    let wanted: Vec<_> = MATRIX
        .into_iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    let mut reports = Vec::new();
    for kernel in kernels::get(&wanted, false)? {
        let results = guest::last_results(&kernel)?;
        let lacks =
            choice::matrix_files().find(|file| results.steps.iter().all(|step| step.name != *file));
        ensure!(
            results.is_complete && lacks.is_none(),
            "the last run on {} wasn't of the whole matrix, or didn't end{}: run \
             `cargo xtask vm test --kernel {0}` first",
            kernel.series,
            lacks.map_or_else(String::new, |file| format!(" ({file} is missing)")),
        );
        reports.push(Report { kernel, results });
    }
    let place = workspace::root().join("docs/kernels.md");
    fs::write(&place, document(&reports)?)
        .with_context(|| format!("can't write {}", place.display()))?;
    say(format!("wrote {}", workspace::short(&place)));
    Ok(())
}

fn document(reports: &[Report]) -> Result<String> {
    let abilities: Vec<Vec<Ability>> = reports.iter().map(abilities).collect::<Result<_>>()?;
    let kernels: Vec<String> = reports.iter().map(|it| it.kernel.numbers()).collect();
    let mut page = String::from(
        "# Kernels\n\n\
         What nodecap can do on which kernel, and what of it was tested there. Made by\n\
         `cargo xtask vm table` from a run of `cargo xtask vm test`, which boots each kernel, asks\n\
         `nodecap doctor` in it, and runs the tests whose outcome a kernel can change. Don't edit.\n\n\
         The kernels are Debian's:",
    );
    for report in reports {
        let _ = write!(
            page,
            "{} {}",
            if page.ends_with(':') { "" } else { "," },
            report.kernel.release
        );
    }
    page.push_str(".\n\n## Abilities\n\n");
    heading(&mut page, "ability", &kernels);
    let mut names: Vec<&str> = Vec::new();
    for ability in abilities.iter().flatten() {
        if !names.contains(&ability.name.as_str()) {
            names.push(&ability.name);
        }
    }
    let of = |list: &[Ability], name: &str| list.iter().find(|it| it.name == name).cloned();
    for name in &names {
        // How a guest keeps time is the emulator's doing, not the kernel's.
        if *name == "clock" {
            continue;
        }
        let cells = abilities.iter().map(|list| match of(list, name) {
            Some(ability) if ability.is_there => "yes",
            Some(_) => "no",
            None => "",
        });
        row(&mut page, name, cells.map(str::to_owned));
    }
    page.push_str("\nWithout them:\n\n");
    let mut told = BTreeSet::new();
    for ability in abilities.iter().flatten() {
        if !ability.is_there && ability.name != "clock" && told.insert(&ability.name) {
            let _ = writeln!(
                page,
                "- **{}** ({}): {}.",
                ability.name, ability.why, ability.effect
            );
        }
    }
    page.push_str("\n## Tests\n\n");
    heading(&mut page, "test file", &kernels);
    let mut files: Vec<&str> = Vec::new();
    for step in reports.iter().flat_map(tests) {
        if !files.contains(&step.name.as_str()) {
            files.push(&step.name);
        }
    }
    for file in files {
        let cells = reports.iter().map(|report| {
            let step = tests(report).find(|step| step.name == file);
            step.map_or_else(String::new, outcome)
        });
        row(&mut page, file, cells);
    }
    page.push_str("\nSkipped, because the kernel lacks what they need:\n\n");
    for (report, kernel) in reports.iter().zip(&kernels) {
        for step in tests(report) {
            for (name, verdict) in &step.tests {
                if let Verdict::Skipped(why) = verdict {
                    let name = name.replace('_', " ");
                    let _ = writeln!(page, "- {kernel}, {}: {name}. {why}.", step.name);
                }
            }
        }
    }
    Ok(page)
}

fn heading(page: &mut String, first: &str, kernels: &[String]) {
    row(page, first, kernels.iter().cloned());
    row(page, "---", kernels.iter().map(|_| "---".to_owned()));
}

fn row(page: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let _ = write!(page, "| {first} |");
    for cell in cells {
        let _ = write!(page, " {cell} |");
    }
    page.push('\n');
}

fn tests(report: &Report) -> impl Iterator<Item = &Step> {
    let steps = report.results.steps.iter();
    steps.filter(|step| step.name != DOCTOR)
}

fn outcome(step: &Step) -> String {
    let count = |wanted: fn(&Verdict) -> bool| step.tests.values().filter(|it| wanted(it)).count();
    let counts = [
        (count(|it| *it == Verdict::Passed), "passed"),
        (
            count(|it| *it == Verdict::Failed) + usize::from(step.broken().is_some()),
            "**failed**",
        ),
        (count(|it| matches!(it, Verdict::Skipped(_))), "skipped"),
    ];
    let parts = counts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    parts.join(", ")
}

fn abilities(report: &Report) -> Result<Vec<Ability>> {
    let kernel = &report.kernel.release;
    let step = report.results.steps.iter().find(|it| it.name == DOCTOR);
    let said = &step
        .with_context(|| format!("no doctor on {kernel}"))?
        .output;
    read_abilities(said).with_context(|| format!("what the doctor says on {kernel}"))
}

fn read_abilities(said: &str) -> Result<Vec<Ability>> {
    // It also says on standard error whether a capture is possible.
    let (start, end) = (said.find('['), said.rfind(']'));
    let json = start
        .zip(end)
        .and_then(|(start, end)| said.get(start..=end))
        .context("no JSON array")?;
    let Value::Array(lines) = serde_json::from_str(json)? else {
        anyhow::bail!("no JSON array");
    };
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    let abilities: Vec<Ability> = lines
        .iter()
        .map(|line| Ability {
            name: text(line, "name"),
            is_there: line["available"].as_bool() == Some(true),
            why: text(line, "why"),
            effect: text(line, "effect"),
        })
        .collect();
    ensure!(!abilities.is_empty(), "no ability");
    Ok(abilities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctors_json_is_found_between_other_lines() {
        let said = "nodecap: something\n[{\"name\":\"tcx\",\"available\":false,\"why\":\"too old\",\
            \"effect\":\"clsact is used\"}]\nnodecap: more\n";
        let abilities = read_abilities(said).expect("abilities");
        assert_eq!(abilities[0].name, "tcx");
        assert!(!abilities[0].is_there);
        assert_eq!(abilities[0].effect, "clsact is used");
    }

    #[test]
    fn a_doctor_that_says_nothing_is_an_error() {
        assert!(read_abilities("nodecap: not found\n").is_err());
        assert!(read_abilities("[]").is_err());
    }
}
