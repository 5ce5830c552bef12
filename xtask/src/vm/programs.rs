//! What the guests run: nodecap itself and the tests, built here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::choice::Choice;
use crate::command::{self, say, shown};
use crate::packages::Need;
use crate::{build, setup, workspace};

/// A test file's program.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// The test file's name.
    pub(super) name: String,
    pub(super) file: PathBuf,
}

/// nodecap, as `NODECAP_BIN` names it or newly built.
pub(super) fn nodecap() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("NODECAP_BIN") {
        return Ok(PathBuf::from(given));
    }
    build::kernel_object(&setup::ensure(Need::Vm)?)?;
    build::binary()
}

/// The programs of the chosen test files.
pub(super) fn tests(choice: &Choice) -> Result<Vec<Program>> {
    let mut cargo = command::cargo("test");
    // Selected as `cargo xtask test` selects them: so what that built is built.
    cargo
        .args([
            "--locked",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .args(["--workspace", "--exclude", "capture-ebpf", "--target-dir"])
        .arg(workspace::target(""));
    for file in choice.files() {
        cargo.args(["--test", file]);
    }
    say(format!("$ {}", shown(&cargo)));
    let built = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("can't start cargo")?;
    if !built.status.success() {
        bail!("the tests can't be built ({})", built.status);
    }
    let programs = executables(&String::from_utf8_lossy(&built.stdout));
    if programs.is_empty() {
        bail!("cargo built no test");
    }
    Ok(programs)
}

/// cargo says one JSON object a line; those of test programs have an `executable` that isn't null.
fn executables(said: &str) -> Vec<Program> {
    said.lines()
        .filter(|line| line.contains("\"reason\":\"compiler-artifact\""))
        .filter_map(|line| {
            let file = PathBuf::from(string_field(line, "executable")?);
            // `NAME-0123456789abcdef`
            let stem = file.file_name()?.to_str()?;
            let name = stem.rsplit_once('-').map_or(stem, |(name, _)| name);
            Some(Program {
                name: name.to_owned(),
                file: file.clone(),
            })
        })
        .collect()
}

/// A string of a flat look at one JSON object. cargo's paths hold nothing that JSON escapes, on
/// any machine that this runs on.
fn string_field<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let (_, value) = object.split_once(&format!("\"{name}\":\""))?;
    value.split('"').next()
}

/// A copy of a program without what only a debugger reads: a fifth of the size.
pub(super) fn stripped(program: &Path, into: &Path) -> Result<()> {
    let strip = command::find("strip").context("there is no strip: install binutils")?;
    command::output(Command::new(strip).arg("-o").arg(into).arg(program))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_read_from_what_cargo_says() {
        let said = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
            {\"reason\":\"compiler-artifact\",\"executable\":\"/t/deps/limits-0123abc\",\"x\":1}\n\
            {\"reason\":\"build-finished\",\"success\":true}\n";
        let programs = executables(said);
        assert_eq!(programs.len(), 1);
        assert_eq!(programs[0].name, "limits");
        assert_eq!(programs[0].file, Path::new("/t/deps/limits-0123abc"));
    }
}
