//! One capture, wired together.
//!
//! [`run`] attaches, then looks after everything but packets: signals, the clock, interfaces that
//! come and go, the status line. One thread, the mover, moves the packets.
//!
//! - [`plan`]: what to do; [`stop`]: why it ended; [`limits`]: when it must
//! - `mover`: ring → [`order`] → [`limits`] → `outputs`
//! - `tracking`: the flow core, driven by the mover; `summary`: what it found, for people
//! - [`clock`], [`frame`], `interface`: a record's stamp, bytes and index as a file tells them
//! - [`ledger`]: every packet accounted for; [`progress`], `status`: what is shown meanwhile;
//!   `roster`: what is kept by interface
//! - `memory`: how much it takes at the most
//! - `watching`, `joining`, `ending`: the session itself, while it runs, as interfaces come and go, and
//!   at its end
//! - `about`: what every file says of the capture
//! - `at_once`: what has happened by now, without waiting
//! - `start`: from a plan to everything attached and open; `destination`: where the capture file goes;
//!   `attached`: the kernel side of it, `attaching`: how that comes about,
//!   `attachment`: what is said of how that is done, `evidence`: what else is listened to,
//!   `completeness`: whether nothing is missed
//! - [`outside`]: to whom a capture shows itself; `figures`: for Prometheus, `service`: for the
//!   service manager; `relinquish`: going on as an ordinary user
//! - `snapshots`: the node's state before and after
//! - `recording`: the flight recorder, driven by the mover
//! - `undecided`: interfaces of which it isn't known yet whose they are; `newcomers`: those that are
//!   captured on before what is behind them is known; `naming`: what addresses are called; `looking`
//!   finds out about both

mod about;
mod at_once;
mod attached;
mod attaching;
mod attachment;
pub mod clock;
mod completeness;
mod destination;
mod ending;
mod evidence;
mod figures;
pub mod frame;
mod inside;
mod interface;
mod joining;
pub mod ledger;
pub mod limits;
mod looking;
mod memory;
mod mover;
mod naming;
mod newcomers;
pub mod order;
mod outputs;
pub mod outside;
pub mod plan;
pub mod progress;
mod recording;
mod relinquish;
mod roster;
mod service;
mod signals;
mod snapshots;
mod start;
mod status;
pub mod stop;
mod summary;
mod tracking;
mod undecided;
mod watching;

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, UnboundedReceiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use self::attached::Attached;
use self::attaching::Attaching;
use self::completeness::Completeness;
use self::figures::Figures;
use self::inside::Inside;
use self::ledger::Account;
use self::mover::{Command, Event, Moved};
use self::naming::{Naming, News};
use self::outside::Outside;
use self::plan::Plan;
use self::progress::Progress;
use self::service::Service;
use self::signals::Signals;
use self::snapshots::Snapshots;
use self::status::Status;
use self::undecided::Undecided;
use crate::error::{Error, Result};
use crate::evidence::conntrack::Conntrack;
use crate::filter::Tables;
use crate::kernel::heap;
use crate::kernel::log::KernelLog;
use crate::metrics::server::Question;
use crate::target::select::Selection;
use crate::target::watch::Watch;

/// How often what isn't asked for happens.
const NEVER: Duration = Duration::from_secs(24 * 3_600);

/// How a capture that got under way came out.
#[derive(Debug)]
pub struct Outcome {
    /// Matched packets that were lost.
    pub lost: u64,
    /// What cut it short.
    pub failure: Option<Error>,
}

/// Captures as planned, until a limit, a signal or a failure ends it, and reports on standard
/// error as it goes.
///
/// # Errors
///
/// When it can't start; then nothing stays attached, and no file is left or changed.
pub async fn run(plan: Plan, outside: Outside) -> Result<Outcome> {
    start::start(plan, outside).await?.run().await
}

/// A capture under way.
struct Session {
    plan: Plan,
    /// The plan's filter, as the kernel has it.
    tables: Tables,
    attached: Attached,
    /// What is still to be attached to before it begins.
    attaching: Option<Attaching>,
    /// What is to be said when it does.
    notes: Vec<String>,
    selection: Selection,
    watch: Watch,
    completeness: Completeness,
    conntrack: Option<Conntrack>,
    signals: Signals,
    commands: Sender<Command>,
    events: UnboundedReceiver<Event>,
    moved: oneshot::Receiver<Moved>,
    progress: Arc<Progress>,
    status: Status,
    log: Option<KernelLog>,
    events_lost: bool,
    undecided: Undecided,
    naming: Naming,
    inside: Option<Inside>,
    snapshots: Option<Snapshots>,
    /// When `--duration` is over.
    deadline: Option<Instant>,
    questions: Option<Receiver<Question>>,
    service: Option<Service>,
    figures: Figures,
}

impl Session {
    async fn run(mut self) -> Result<Outcome> {
        let reason = match self.begin().await {
            Some(ended) => ended,
            None => {
                heap::give_back();
                self.watch_over().await
            }
        };
        self.finish(reason).await
    }

    fn answer(&self, question: Question) {
        // Whoever asked may have given up.
        let _ = question.send(self.page());
    }

    /// When the service manager's watchdog is to be fed.
    fn feeding(&self) -> Interval {
        let wanted = self.service.as_ref().and_then(Service::feeding);
        let mut feeding = interval(wanted.unwrap_or(NEVER));
        feeding.set_missed_tick_behavior(MissedTickBehavior::Delay);
        feeding
    }

    fn feed(&mut self) {
        if let Some(service) = &mut self.service {
            service.feed(self.progress.rounds());
        }
    }

    fn tell_names(&self, news: News) {
        if !news.is_empty() {
            self.command(Command::Names(news));
        }
    }

    fn command(&self, command: Command) {
        // A mover that is gone has said so through its other channels.
        let _ = self.commands.send(command);
    }

    fn tick(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
        if self.plan.track && !self.events_lost && self.attached.events_lost() > 0 {
            self.events_lost = true;
            self.command(Command::EventsLost);
            self.status.say(
                "nodecap: the kernel told more than there was room for; verdicts rest on less from now on",
            );
        }
        self.tell_service();
        if self.status.is_shown() {
            let total = self.attached.total();
            self.status
                .show(&self.plan, &self.progress, &total, self.deadline);
        }
    }

    /// The count lines of this moment.
    fn counts(&self) -> String {
        let account = Account {
            captured: self.progress.packets(),
            forgotten: self.progress.forgotten(),
            kernel: self.attached.total(),
            unwritten: 0,
        };
        ledger::count_lines(&account, self.plan.record.is_some())
    }
}
