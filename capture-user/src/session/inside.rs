//! A capture from inside a namespace, which goes along when its container is started anew.
//!
//! Nobody tells in there that the container has ended: its loopback interface stays, and the
//! capture itself keeps the namespace alive. So the first process is looked at, and once that is
//! gone, the workload is looked for until it runs in another namespace.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::completeness::{Change, Completeness};
use super::mover::Command;
use super::naming::{Naming, News};
use super::stop::StopReason;
use super::undecided::Undecided;
use super::{Session, evidence};
use crate::error::{Error, Result};
use crate::evidence::sysctl::Sysctls;
use crate::target::addresses::AddressWatch;
use crate::target::entering::enter;
use crate::target::inhabitants::Inhabitants;
use crate::target::netns::is_own;
use crate::target::process::Process;
use crate::target::watch::Watch;
use crate::target::workload::{Place, Workload};

/// Between two looks at the process, and between two questions to a container engine.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// The workload whose namespace the capture is in.
pub(super) struct Inside {
    workload: Workload,
    process: Process,
    next: Instant,
    looking: Option<JoinHandle<Result<Place>>>,
    /// Whether it was told that it is gone.
    told: bool,
}

/// What became of it.
pub(super) enum Whereabouts {
    /// It doesn't run any more; it may be started again.
    Gone,
    /// It doesn't run any more, and never will.
    Ended,
    /// It runs in another namespace.
    Moved(Place),
}

impl Inside {
    /// Begins with where it was found; none for what doesn't end with a process.
    pub(super) fn new(workload: &Workload, place: &Place) -> Option<Self> {
        Some(Self {
            workload: workload.clone(),
            process: place.process?,
            next: Instant::now() + BETWEEN_LOOKS,
            looking: None,
            told: false,
        })
    }

    /// Waits until something has become of it. Nothing is lost when the future is dropped before
    /// it is ready.
    pub(super) async fn next(&mut self) -> Whereabouts {
        loop {
            let Some(looking) = &mut self.looking else {
                sleep_until(self.next).await;
                self.next = Instant::now() + BETWEEN_LOOKS;
                if self.process.lives() {
                    continue;
                }
                if matches!(self.workload, Workload::Pid(_)) {
                    return Whereabouts::Ended;
                }
                let workload = self.workload.clone();
                self.looking = Some(tokio::spawn(async move { workload.locate().await }));
                continue;
            };
            let found = looking.await;
            self.looking = None;
            match found {
                Ok(Ok(
                    place @ Place {
                        process: Some(process),
                        ..
                    },
                )) => {
                    self.process = process;
                    self.told = false;
                    // Another process of a pod's that goes on isn't elsewhere.
                    if is_own(&place.file) != Some(true) {
                        return Whereabouts::Moved(place);
                    }
                }
                _ if self.told => {}
                _ => {
                    self.told = true;
                    return Whereabouts::Gone;
                }
            }
        }
    }
}

/// What becomes of the workload that was entered, if one was.
pub(super) async fn whereabouts(inside: Option<&mut Inside>) -> Whereabouts {
    match inside {
        Some(inside) => inside.next().await,
        None => pending().await,
    }
}

impl Session {
    /// Goes where the workload is that the capture is inside of. What ends the capture, if that
    /// does.
    pub(super) async fn go_along(&mut self, whereabouts: Whereabouts) -> Option<StopReason> {
        let place = match whereabouts {
            Whereabouts::Ended => return Some(StopReason::NoInterfaceLeft),
            Whereabouts::Gone => {
                self.status
                    .say("nodecap: what is captured from inside runs no more: waiting for it");
                return None;
            }
            Whereabouts::Moved(place) => place,
        };
        // While the thread is still where they are: some are detached by their index.
        for index in self.attached.indices() {
            self.leave(index);
        }
        if let Err(error) = enter(&place) {
            return Some(StopReason::Failure(Error::failure(format!(
                "{} runs again, and its namespace can't be entered: {error}; capture as root, \
                 without --relinquish",
                place.whose
            ))));
        }
        match self.begin_here().await {
            Ok(()) => {
                let whose = &place.whose;
                self.status.say(&format!(
                    "nodecap: {whose} runs again: captured from inside its new namespace"
                ));
                None
            }
            Err(error) => Some(StopReason::Failure(error)),
        }
    }

    /// Begins anew with all that belongs to a network namespace, in the one that was entered.
    async fn begin_here(&mut self) -> Result<()> {
        let (watch, links) = Watch::start().await?;
        self.watch = watch;
        self.undecided = Undecided::default();
        self.completeness = Completeness::new(&self.plan, links.clone(), &BTreeSet::new());
        self.tell_completeness(Some(Change::Ends));
        self.command(Command::Entered {
            netns: evidence::this_namespace(),
            sysctls: Sysctls::read(),
        });
        if self.plan.track {
            let mut notes = Vec::new();
            self.conntrack = evidence::conntrack(&mut notes).await;
            for note in notes {
                self.status.say(&format!("nodecap: {note}"));
            }
        }
        let news = self.naming.forget_all();
        self.tell_names(news);
        let wanted = self.plan.wants_names();
        let addresses = wanted.then(|| AddressWatch::start().ok()).flatten();
        let found = match wanted {
            true => Inhabitants::look(&links, self.plan.here()).await,
            false => Inhabitants::default(),
        };
        self.naming = Naming::new(wanted, addresses, &links, &found);
        self.tell_names(News {
            learned: self.naming.all(),
            ..News::default()
        });
        for link in &links {
            if self.selection.takes(link) {
                self.join(link, Some(&found));
            }
        }
        self.review_completeness();
        Ok(())
    }
}
