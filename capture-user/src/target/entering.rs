//! Going into a network namespace that no interface of this one leads into.
//!
//! A container on a macvlan or ipvlan, or a namespace that some other one is the host of, can be
//! captured from inside only.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd;

use super::inhabitants::Here;
use super::links;
use super::name::printable;
use super::process::cgroup::short;
use super::runtime;
use super::select::Pattern;
use super::workload::{Place, Workload, open_namespace};
use crate::error::{Error, Result};

/// A namespace that was entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// What was asked for.
    pub workload: Workload,
    /// Where that was.
    pub place: Place,
    /// Whose it is.
    pub here: Here,
}

impl Entered {
    /// What the user should know of it: one line.
    #[must_use]
    pub fn note(&self) -> String {
        format!(
            "no interface of this namespace leads to {whose}: captured from inside, where `In` \
             is what comes into {whose}",
            whose = self.place.whose
        )
    }
}

/// Enters the namespace of the one workload if it has no interface here. All that the
/// thread opens from then on, and every thread that it starts, is in there; those that run already
/// aren't, so this comes first of all.
///
/// Then the interfaces to capture are all that are up in there.
///
/// # Errors
///
/// As [`Workload::find`]; [`Error::Usage`] where something else is to be captured as well, which
/// can't be done from in there; [`Error::Failure`] where the namespace can't be entered.
pub fn enter_where_needed(
    patterns: &mut Vec<Pattern>,
    workloads: &mut Vec<Workload>,
) -> Result<Option<Entered>> {
    if workloads.is_empty() {
        return Ok(None);
    }
    let Some((workload, place, here)) = without_host_side(workloads)? else {
        return Ok(None);
    };
    if workloads.len() > 1 || !patterns.is_empty() {
        return Err(Error::usage(format!(
            "{workload}: no interface of this namespace leads to {}, so it has to be captured \
             from inside, by itself: leave the other interfaces out",
            place.whose
        )));
    }
    enter(&place).map_err(|error| {
        Error::failure(format!(
            "{workload}: no interface of this namespace leads to {}, and it can't be entered: \
             {error}; run as root, with CAP_SYS_ADMIN",
            place.whose
        ))
    })?;
    workloads.clear();
    patterns.push(Pattern::Any);
    Ok(Some(Entered {
        workload,
        place,
        here,
    }))
}

/// The first that has none, where it is, and whose that is.
fn without_host_side(workloads: &[Workload]) -> Result<Option<(Workload, Place, Here)>> {
    // Without a thread of its own, and gone before the namespace is entered.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failure(format!("can't start: {error}")))?;
    runtime.block_on(async {
        let links = links::list().await?;
        for workload in workloads {
            let place = workload.find().await?;
            if place.host_side(&links).is_empty() {
                let here = here(workload, &place).await;
                return Ok(Some((workload.clone(), place, here)));
            }
        }
        Ok(None)
    })
}

/// Whose the namespace is: a container may have been asked for by its id, and be a pod's.
async fn here(workload: &Workload, place: &Place) -> Here {
    let named = |kind: &str, name: &str| Here {
        label: format!("{kind} {}", printable(name)),
        name: Some(printable(name).to_string()),
    };
    match (workload, &place.container) {
        (Workload::Pod(pod), _) => named("pod", &pod.to_string()),
        (_, Some(id)) => match runtime::names().await.of(id) {
            Some(known) => match &known.pod {
                Some(pod) => named("pod", &pod.to_string()),
                None => named("container", &known.name),
            },
            None => Here {
                label: format!("container {}", short(id)),
                name: None,
            },
        },
        (_, None) => Here {
            label: place.whose.clone(),
            name: None,
        },
    }
}

/// Goes into a workload's namespace, for good.
///
/// # Errors
///
/// Where that isn't allowed, or it is gone.
pub fn enter(place: &Place) -> std::io::Result<()> {
    let namespace = open_namespace(&place.file)?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}
