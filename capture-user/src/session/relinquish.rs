//! `--relinquish`: what is looked at before, what is done, and what can't be done any more.

use std::path::Path;

use super::plan::Plan;
use crate::error::{Error, Result};
use crate::kernel::relinquish::{self, Identity, Wanted};

/// Refuses what couldn't go on as that user, before anything is attached, and notes what will be
/// less.
pub(super) fn prepare(plan: &Plan, notes: &mut Vec<String>) -> Result<()> {
    let Some(identity) = &plan.relinquish else {
        return Ok(());
    };
    if !relinquish::may_relinquish() {
        return Err(Error::failure(
            "--relinquish: this process may not become another user: run it as root, or leave the option out",
        ));
    }
    if plan.rotate.is_some()
        && let Some(path) = &plan.write
    {
        files_can_be_made(identity, path)?;
    }
    for file in plan.lists.iter().flat_map(|lists| lists.files()) {
        if let Err(error) = relinquish::check(identity, Path::new(file), Wanted::Read) {
            notes.push(format!(
                "{file} can't be read again at a hang-up, as user {}: {error}",
                identity.user
            ));
        }
    }
    if !plan.workloads.is_empty() {
        notes.push(
            "as an ordinary user it isn't seen whose an interface is: one that is made anew for a \
             container, pod or process isn't captured"
                .to_owned(),
        );
    }
    Ok(())
}

/// The files to come are made in the same folder as the first, unless their names say otherwise.
fn files_can_be_made(identity: &Identity, first: &Path) -> Result<()> {
    let folder = match first.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.as_os_str().as_encoded_bytes().contains(&b'%') {
        return Ok(());
    }
    relinquish::check(identity, folder, Wanted::MakeFiles).map_err(|error| {
        let shown = folder.display();
        Error::failure(format!(
            "--relinquish: user {} can't make files in {shown}, as rotation will: {error}: give it the folder (chown {} {shown}), or write elsewhere",
            identity.user, identity.user
        ))
    })
}

/// Becomes that user. Every thread that is made from now on is that user's too.
pub(super) fn relinquish(identity: &Identity) -> Result<()> {
    relinquish::relinquish(identity).map_err(|error| {
        Error::failure(format!(
            "--relinquish: can't become user {}: {error}: run it as root, or leave the option out",
            identity.user
        ))
    })
}
