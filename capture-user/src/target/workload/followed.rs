//! Where a workload of a capture is as time goes by.
//!
//! The kernel gives a namespace's number to another one as soon as it is free, so a number that
//! was once the workload's says nothing of a link that appears later: it is asked for again.

use super::{Ids, Place, Process, Workload, leads_into, netns};
use crate::target::links::Link;

/// A workload whose interfaces are captured, those that appear later too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::target) struct Followed {
    what: What,
    /// The number of its namespace when it was last asked for.
    netns: Option<i32>,
}

/// What tells it apart from others.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Process(Process),
    /// A process that was already gone.
    Nothing,
    Netns(String),
}

impl Followed {
    /// Begins with where it was found.
    pub(in crate::target) fn new(workload: &Workload, place: &Place) -> Self {
        Self {
            what: match workload {
                Workload::Pid(pid) => Process::find(*pid).map_or(What::Nothing, What::Process),
                Workload::Netns(which) => What::Netns(which.clone()),
            },
            netns: place.netns,
        }
    }

    /// Whether interfaces can still appear in it.
    pub(in crate::target) fn takes_later(&self) -> bool {
        match &self.what {
            What::Process(process) => process.lives(),
            What::Nothing => false,
            What::Netns(_) => true,
        }
    }

    /// Whether the link leads to it, as of the last time that was asked.
    pub(in crate::target) fn takes(&self, link: &Link) -> bool {
        leads_into(link, self.netns)
    }

    /// Asks anew where it is. It may be nowhere for a while.
    pub(in crate::target) async fn refresh(&mut self) {
        self.netns = self.ask().await;
    }

    async fn ask(&self) -> Option<i32> {
        let mut ids = Ids::open().ok()?;
        match &self.what {
            What::Process(process) => {
                let netns = ids.of_process(process.pid).await.ok()?;
                // Looked at afterwards: until then the number was its own.
                netns.filter(|_| process.lives())
            }
            What::Nothing => None,
            What::Netns(which) => {
                let file = netns::open(&netns::path(which)?).ok()?;
                ids.of_file(&file).await.ok()?
            }
        }
    }
}
