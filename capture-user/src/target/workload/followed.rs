//! Where a workload of a capture is as time goes by.
//!
//! The kernel gives a namespace's number to another one as soon as it is free, so a number that
//! was once the workload's says nothing of a link that appears later: it is asked for again.

use std::time::{Duration, Instant};

use super::{Ids, Place, Process, Workload, container, leads_into, netns, pod};
use crate::target::links::Link;
use crate::target::runtime::Pod;

/// How often at most an engine is asked whether a name has gone to another container.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(1);

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
    Container {
        /// The one that it was last.
        id: String,
        /// What was typed: where that is a name, it may go to another container.
        which: String,
        /// When an engine was last asked.
        asked: Option<Instant>,
    },
    Pod {
        pod: Pod,
        /// Its process when it was last found.
        process: Option<Process>,
        asked: Option<Instant>,
    },
}

impl Followed {
    /// Begins with where it was found.
    pub(in crate::target) fn new(workload: &Workload, place: &Place) -> Self {
        Self {
            what: match workload {
                Workload::Pid(pid) => Process::find(*pid).map_or(What::Nothing, What::Process),
                Workload::Netns(which) => What::Netns(which.clone()),
                Workload::Container(which) => What::Container {
                    id: place.container.clone().unwrap_or_default(),
                    which: which.clone(),
                    asked: None,
                },
                Workload::Pod(pod) => What::Pod {
                    pod: pod.clone(),
                    process: None,
                    asked: None,
                },
            },
            netns: place.netns,
        }
    }

    /// Whether interfaces can still appear in it.
    pub(in crate::target) fn takes_later(&self) -> bool {
        match &self.what {
            What::Process(process) => process.lives(),
            What::Nothing => false,
            // It may be started again.
            What::Netns(_) | What::Container { .. } | What::Pod { .. } => true,
        }
    }

    /// Whether it may be somewhere soon, and isn't yet: an interface can be there before the first
    /// process of the container that it is made for.
    pub(in crate::target) fn is_awaited(&self) -> bool {
        self.netns.is_none() && matches!(self.what, What::Container { .. } | What::Pod { .. })
    }

    /// Whether the link leads to it, as of the last time that was asked.
    pub(in crate::target) fn takes(&self, link: &Link) -> bool {
        leads_into(link, self.netns)
    }

    /// Asks anew where it is. It may be nowhere for a while.
    pub(in crate::target) async fn refresh(&mut self) {
        self.netns = self.ask().await;
    }

    async fn ask(&mut self) -> Option<i32> {
        let mut ids = Ids::open().ok()?;
        match &mut self.what {
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
            What::Container { id, which, asked } => {
                if let Some(process) = container::first_process(id) {
                    let netns = ids.of_process(process.pid).await.ok()?;
                    return netns.filter(|_| process.lives());
                }
                // With an id nothing else was meant.
                if id.starts_with(which.as_str()) || !is_time(*asked) {
                    return None;
                }
                let found = container::find(which).await;
                *asked = Some(Instant::now());
                let found = found.ok()?;
                let netns = ids.of_process(found.process.pid).await.ok()?;
                id.clone_from(&found.id);
                netns.filter(|_| found.process.lives())
            }
            What::Pod {
                pod,
                process,
                asked,
            } => {
                if process.is_none_or(|known| !known.lives()) {
                    if !is_time(*asked) {
                        return None;
                    }
                    *process = pod::find(pod).await.ok();
                    *asked = Some(Instant::now());
                }
                let process = (*process)?;
                let netns = ids.of_process(process.pid).await.ok()?;
                netns.filter(|_| process.lives())
            }
        }
    }
}

/// Whether an engine that was last asked then may be asked again.
fn is_time(asked: Option<Instant>) -> bool {
    asked.is_none_or(|asked| asked.elapsed() >= BETWEEN_QUESTIONS)
}
