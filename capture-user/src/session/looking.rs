//! A look at what is behind interfaces, on a thread of its own: it reads of every process of the node and
//! asks engines, and the session has others to look after meanwhile.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::target::inhabitants::{Here, Inhabitants};
use crate::target::links::Link;

/// What happened during a look: of these it knows less than whoever heard of it.
#[derive(Debug, Default)]
pub(super) struct Meanwhile {
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) namespaces: BTreeSet<i32>,
    pub(super) too_much: bool,
}

/// A look that goes on. Dropped, it ends by itself, and nobody hears of it.
pub(super) struct Looking {
    found: oneshot::Receiver<Inhabitants>,
    pub(super) meanwhile: Meanwhile,
}

impl Looking {
    /// Begins to look at what is behind these links of the network namespace that the thread is in: the
    /// new one is in there, too.
    pub(super) fn begin(links: Vec<Link>, here: Option<Here>) -> Self {
        let (tell, found) = oneshot::channel();
        let look = move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            // What can't be found out is left out, and so is who doesn't want to know any more.
            if let Ok(runtime) = runtime {
                let _ = tell.send(runtime.block_on(Inhabitants::look(&links, here.as_ref())));
            }
        };
        if let Err(error) = thread::Builder::new().name("look".to_owned()).spawn(look) {
            tracing::warn!("can't look at what is behind interfaces: {error}");
        }
        Self {
            found,
            meanwhile: Meanwhile::default(),
        }
    }

    /// What was found; none if it couldn't be looked. Nothing is lost when the future is dropped before
    /// it is ready.
    pub(super) async fn found(&mut self) -> Option<Inhabitants> {
        (&mut self.found).await.ok()
    }
}

#[cfg(test)]
impl Looking {
    /// One that finds nothing yet.
    pub(super) fn example() -> (Self, oneshot::Sender<Inhabitants>) {
        let (tell, found) = oneshot::channel();
        let meanwhile = Meanwhile::default();
        (Self { found, meanwhile }, tell)
    }
}
