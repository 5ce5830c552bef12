//! From a plan to everything attached and open, or to nothing at all.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc;

use jiff::tz::TimeZone;
use tokio::sync::{mpsc as async_mpsc, oneshot};

use super::about::About;
use super::attached::Attached;
use super::attaching::Attaching;
use super::clock::{self, Offset};
use super::completeness::Completeness;
use super::destination::{Destination, no_thread, refuse_too_small_a_size};
use super::figures::Figures;
use super::frame::Link as LinkHeader;
use super::inside::Inside;
use super::interface::Interface;
use super::limits::Gate;
use super::memory::Memory;
use super::mover::{Mover, Parts};
use super::naming::Naming;
use super::outputs::Outputs;
use super::outputs::file::Common;
use super::outside::Outside;
use super::plan::Plan;
use super::progress::Progress;
use super::recording::{self, Recording};
use super::signals::{Signal, Signals};
use super::snapshots::Snapshots;
use super::status::Status;
use super::tracking::Tracking;
use super::undecided::Undecided;
use super::{Session, attachment, evidence, memory, relinquish};
use crate::error::{Error, Result};
use crate::evidence::roles;
use crate::flow::role::Role;
use crate::kernel::attach::Hook;
use crate::kernel::log::LogLevel;
use crate::kernel::tracepoints::Told;
use crate::kernel::{Kernel, Setup};
use crate::metrics::server::{self, Question};
use crate::sink::flows::OpenedFlows;
use crate::sink::lines::Lines;
use crate::sink::pcapng::{Frames, LinkType};
use crate::sink::text::{self, Printer};
use crate::snapshot::file::SnapshotFile;
use crate::target::addresses::AddressWatch;
use crate::target::inhabitants::Inhabitants;
use crate::target::links::{Framing, Link};
use crate::target::name::printable;
use crate::target::select::{Selection, resolve, usual};
use crate::target::watch::Watch;

/// Attaches and opens everything. On an error nothing stays attached, and no file is left that
/// wasn't there or changed that was.
pub(super) async fn start(plan: Plan, outside: Outside) -> Result<Session> {
    let inside = plan.entered.as_ref();
    let inside = inside.and_then(|it| Inside::new(&it.workload, &it.place));
    // First, since a FIFO makes us wait for its reader, and signals must still end us then.
    let destination = plan
        .write
        .as_deref()
        .map(|path| Destination::open(&plan, path))
        .transpose()?;
    let flows = plan.flows.as_deref().map(OpenedFlows::open).transpose()?;
    let snapshot = plan.snapshot.as_deref();
    let snapshot = snapshot.map(SnapshotFile::reserve).transpose()?;
    let mut signals = Signals::catch()?;
    let status = Status::new(&plan);
    let (mut watch, links) = Watch::start().await?;
    let roles = roles::roles(&links);
    let role = |link: &Link| roles.get(&link.index).copied().unwrap_or(Role::Unknown);
    let mut selection = select(&plan, &links).await?;
    // Said once everything has begun: a capture that can't begin says just why.
    let mut notes = plan.notes.clone();
    relinquish::prepare(&plan, &mut notes)?;
    notes.append(&mut selection.notes);
    notes.extend(means_nothing(&plan, &selection)?);
    let offset = Offset::measure();
    let header = link_header(&selection);
    let about = About::this_capture(&plan, offset);
    let frames = Frames::new(
        match header {
            LinkHeader::Ethernet => LinkType::Ethernet,
            LinkHeader::Bare => LinkType::Raw,
        },
        plan.snaplen,
    );
    let common = Common {
        about,
        frames,
        filter: plan.filter.describe(),
    };
    // Before they are looked for, so that nothing is missed that changes meanwhile.
    let addresses = plan.wants_names().then(|| AddressWatch::start().ok());
    let inhabitants = inhabitants(&plan, &links).await;
    let mut interfaces: Vec<_> = selection
        .links
        .iter()
        .map(|link| interface(&plan, link, role(link), &inhabitants))
        .collect();
    let naming = Naming::new(
        plan.wants_names(),
        addresses.flatten(),
        &links,
        &inhabitants,
    );
    // All of them: packets of a container cross the uplink too.
    if let Some(first) = interfaces.first_mut() {
        first.names = naming.all();
    }
    notes.extend(inhabitants.missing);
    refuse_too_small_a_size(&plan, &common, &interfaces)?;

    let mut snapshots = match snapshot {
        Some(file) => Some(Snapshots::before(file, &plan.workloads).await),
        None => None,
    };
    let knows = plan.track && evidence::may_know(&mut notes);
    let setup = Setup {
        tables: plan.filter.tables(),
        snaplen: plan.snaplen,
        ring_bytes: plan.ring_bytes,
        log: log_level(&plan),
        identity: knows && plan.hook != Hook::Xdp,
        follow: knows && plan.follow && plan.hook != Hook::Xdp,
        events: knows,
    };
    let mut kernel = Kernel::load(&setup)?;
    kernel.set_hook(plan.hook);
    let rings = kernel.rings()?;
    let log = match log_level(&plan) {
        LogLevel::Off => None,
        LogLevel::Debug => Some(kernel.log()?),
    };
    let (events, told) = if knows {
        evidence::from_kernel(&mut kernel, &mut notes)?
    } else {
        (None, Told::default())
    };
    attachment::sweep(&mut notes);
    let (commands, orders) = mpsc::channel();
    let mut attached = Attached::new(kernel);
    let mut attaching = Attaching::new(selection.links.clone());
    while attaching.must_go_on(&attached, &selection) {
        let next = attaching.next(&mut attached, &plan, &selection, &mut watch, &commands);
        next.await?;
        while let Some(signal) = signals.waiting().await {
            if matches!(signal, Signal::Stop(_) | Signal::HangUp) {
                return Err(Error::failure("stopped before the capture began"));
            }
        }
    }
    if let Some(refused) = attaching.refused(&attached) {
        return Err(refused);
    }

    if let Some(snapshots) = &mut snapshots {
        snapshots.begin()?;
    }
    // Before the first thread is made: what a thread may do is its own affair.
    if let Some(user) = &plan.relinquish {
        if let Some(destination) = &destination {
            destination.opened.give_to(user.user, user.group)?;
        }
        if let Some(flows) = &flows {
            flows.give_to(user.user, user.group)?;
        }
        relinquish::relinquish(user)?;
    }

    let (tell, told_to) = async_mpsc::unbounded_channel();
    let file = match destination {
        Some(destination) => Some(destination.begin(&plan, common, &interfaces, offset, &tell)?),
        None => None,
    };
    let lines = if plan.print {
        let mut lines = Lines::open(printer(&plan, header))?;
        for interface in &interfaces {
            lines.learn(&interface.names);
        }
        Some(lines)
    } else {
        None
    };
    let outputs = Outputs { file, lines };

    let completeness = Completeness::new(&plan, links, &attached.indices());
    let (tracking, conntrack) = if plan.track {
        let config = evidence::config(&plan, completeness.holds(), &told);
        let flows = flows.map(OpenedFlows::begin).transpose()?;
        let conntrack = evidence::conntrack(&mut notes).await;
        (Some(Tracking::new(config, events, flows)), conntrack)
    } else {
        (None, None)
    };

    if let Some(record) = &plan.record {
        notes.extend(recording::notes(record, &told));
    }
    let progress = Arc::new(Progress::default());
    let (done, moved) = oneshot::channel();
    let mover = Mover::new(Parts {
        rings,
        gate: Gate::new(plan.limits),
        link: header,
        snaplen: plan.snaplen,
        outputs,
        tracking,
        recording: plan.record.as_ref().map(Recording::new),
        interfaces,
        commands: orders,
        events: tell,
        progress: Arc::clone(&progress),
        telling: outside.metrics.is_some(),
        offset,
    });
    std::thread::Builder::new()
        .name("mover".to_owned())
        .spawn(move || {
            // A session that is gone doesn't ask.
            let _ = done.send(mover.run());
        })
        .map_err(no_thread)?;
    let questions = outside.metrics.map(|listener| serve(listener, &mut notes));
    if memory::is_of_interest(&plan, outside.service.is_some()) {
        notes.push(Memory::of(&plan).line());
    }
    Ok(Session {
        plan,
        tables: setup.tables,
        attached,
        attaching: Some(attaching),
        notes,
        selection,
        watch,
        completeness,
        conntrack,
        signals,
        commands,
        events: told_to,
        moved,
        progress,
        status,
        log,
        events_lost: false,
        undecided: Undecided::default(),
        naming,
        inside,
        snapshots,
        deadline: None,
        questions,
        service: outside.service,
        figures: Figures::new(clock::monotonic().wrapping_add_signed(offset.nanoseconds)),
    })
}

/// Serves figures, and says where. What comes of the question that is asked then, the session
/// answers.
fn serve(listener: TcpListener, notes: &mut Vec<String>) -> async_mpsc::Receiver<Question> {
    if let Ok(address) = listener.local_addr() {
        notes.push(format!("figures at http://{address}{}", server::PATH));
    }
    let (ask, questions) = server::questions();
    tokio::spawn(async move {
        let error = server::serve(listener, ask).await;
        tracing::error!("no figures are served: {error}");
    });
    questions
}

/// Who is behind the links, as far as anybody is told.
async fn inhabitants(plan: &Plan, links: &[Link]) -> Inhabitants {
    if plan.wants_inhabitants() {
        Inhabitants::look(links, plan.here()).await
    } else {
        Inhabitants::default()
    }
}

/// An interface with what is behind it.
pub(super) fn interface(plan: &Plan, link: &Link, role: Role, found: &Inhabitants) -> Interface {
    let described = Interface::new(link, role, found.behind(link), plan.here());
    Interface {
        who: described.who.filter(|_| plan.wants_names()),
        ..described
    }
}

async fn select(plan: &Plan, links: &[Link]) -> Result<Selection> {
    if plan.interfaces.is_empty() && plan.workloads.is_empty() {
        return usual(links);
    }
    let mut selection = resolve(&plan.interfaces, links)?;
    selection.add(&plan.workloads, links).await?;
    Ok(selection)
}

/// Says where the expression can match nothing: on devices without the link header that it is
/// about. An error, if there is no other device.
fn means_nothing(plan: &Plan, selection: &Selection) -> Result<Option<String>> {
    let Some(expression) = &plan.filter.expression else {
        return Ok(None);
    };
    let Err(error) = expression.program(Framing::Bare) else {
        return Ok(None);
    };
    let (bare, others): (Vec<_>, Vec<_>) = selection
        .links
        .iter()
        .partition(|link| link.framing == Framing::Bare);
    if bare.is_empty() {
        return Ok(None);
    }
    if others.is_empty() && !selection.takes_later() {
        return Err(Error::usage(error.to_string()));
    }
    let names: Vec<_> = bare
        .iter()
        .map(|link| printable(&link.name).to_string())
        .collect();
    Ok(Some(format!(
        "nothing will match on {}, which has no link header: {error}",
        names.join(", ")
    )))
}

/// Frames without link headers only for a single interface, with none to join it later: libpcap
/// (1.10.3) refuses a file with a second interface of `LINKTYPE_RAW`.
fn link_header(selection: &Selection) -> LinkHeader {
    match selection.links.as_slice() {
        [link] if link.framing == Framing::Bare && !selection.takes_later() => LinkHeader::Bare,
        _ => LinkHeader::Ethernet,
    }
}

fn log_level(plan: &Plan) -> LogLevel {
    if plan.verbosity > 1 {
        LogLevel::Debug
    } else {
        LogLevel::Off
    }
}

fn printer(plan: &Plan, header: LinkHeader) -> Printer {
    Printer::new(text::Options {
        names: plan.names,
        verbosity: plan.verbosity,
        link: match header {
            LinkHeader::Ethernet => text::LinkType::Ethernet,
            LinkHeader::Bare => text::LinkType::BareIp,
        },
        zone: TimeZone::system(),
    })
}
