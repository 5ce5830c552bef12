//! What a capture says about a scenario, against its label.

use super::retold::assert_agrees;
use super::translations::{KnownBy, Translation, View};
use super::{Reset, Scenario, Side};
use crate::ability;
use crate::flows::{Ends, FlowsFile, NatLine, ResetLine};
use crate::nodecap::Nodecap;
use crate::process::Finished;
use crate::read::CaptureFile;
use crate::scratch::Scratch;
use crate::topology::Node;

/// A scenario that happened before the eyes of a capture.
#[derive(Debug)]
pub struct Witnessed {
    /// What the capture says.
    pub flows: FlowsFile,
    /// What it has captured.
    pub file: CaptureFile,
    /// How it ended.
    pub finished: Finished,
    scratch: Scratch,
}

const FLOWS: &str = "flows.jsonl";
const FILE: &str = "capture.pcapng";

impl Witnessed {
    /// Makes a scenario happen on a node of its own before a capture with these arguments.
    ///
    /// # Panics
    ///
    /// When the capture fails, or loses packets: then it can't be expected to know.
    #[must_use]
    #[track_caller]
    pub fn by(arguments: &[&str], scenario: &Scenario) -> Self {
        Self::event(arguments, scenario.prepare, scenario.happen)
    }

    /// Likewise, for what is no scenario.
    ///
    /// # Panics
    ///
    /// As [`Witnessed::by`].
    #[must_use]
    #[track_caller]
    pub fn event<T>(
        arguments: &[&str],
        prepare: impl FnOnce(&Node),
        happen: impl FnOnce(&Node) -> T,
    ) -> Self {
        let lab = Node::new();
        prepare(&lab);
        let scratch = Scratch::new();
        let capture = Nodecap::new(&lab.node, &["capture"])
            .args(arguments)
            // Enough for every header: whole super-frames could be too much for a slow machine.
            .args(["-s", "256"])
            .args(["--flows".as_ref(), scratch.path(FLOWS).as_os_str()])
            .write(&scratch.path(FILE))
            .start();
        let kept = happen(&lab);
        let finished = capture.stop();
        drop(kept);
        assert_eq!(finished.counts().dropped, 0, "{}", finished.stderr);
        Self {
            flows: FlowsFile::read(&scratch.path(FLOWS)),
            file: CaptureFile::read(&scratch.path(FILE)),
            finished,
            scratch,
        }
    }

    /// The pcapng file, for other people's readers.
    #[must_use]
    pub fn path(&self) -> std::path::PathBuf {
        self.scratch.path(FILE)
    }
}

/// Makes the scenario happen before a capture of all interfaces, compares its verdicts with the
/// label, and then with what `explain` makes of the file.
///
/// # Panics
///
/// When a verdict is wrong, or missing, or there is one too many.
#[track_caller]
pub fn assert_judged(scenario: &Scenario) {
    let witnessed = Witnessed::by(&["-i", "any"], scenario);
    assert_says(&witnessed, scenario);
    let causes: Vec<_> = scenario.resets.iter().map(|reset| reset.cause).collect();
    assert_agrees(scenario.name, &witnessed, &causes);
}

/// Compares the verdicts with the label.
///
/// # Panics
///
/// As [`assert_judged`].
#[track_caller]
pub fn assert_says(witnessed: &Witnessed, scenario: &Scenario) {
    let resets = &witnessed.flows.resets;
    let name = scenario.name;
    assert_eq!(
        resets.len(),
        scenario.resets.len(),
        "{name}: {:#?}\n{}",
        witnessed.flows,
        witnessed.finished.stderr
    );
    for (said, label) in resets.iter().zip(scenario.resets) {
        assert_verdict(name, said, label);
        let flow = witnessed.flows.flow(said.flow);
        assert!(!flow.resets.is_empty(), "{name}: {flow:#?}");
    }
}

#[track_caller]
fn assert_verdict(name: &str, said: &ResetLine, label: &Reset) {
    assert_eq!(
        (said.from.as_str(), said.to.as_str()),
        label.flow,
        "{name}: {said:#?}"
    );
    let interface = match said.origin.interface.as_deref() {
        // With br_netfilter a rule's answer goes straight out of the port that the packet came in
        // by (nf_send_reset), not through the bridge.
        Some("veth-pod") if label.side == Side::NodeToPod && label.cause == "reject-rule" => {
            Some(label.side.interface())
        }
        other => other,
    };
    assert_eq!(
        (said.origin.side.as_str(), interface),
        (label.side.name(), Some(label.side.interface())),
        "{name}: {said:#?}"
    );
    let open = said.cause == "unknown" && label.or_unknown.is_some();
    if !is_fair_guess(said, label) {
        assert!(said.cause == label.cause || open, "{name}: {said:#?}");
        let confidences = if open {
            &["heuristic"]
        } else {
            sure(label.cause)
        };
        assert!(
            confidences.contains(&said.confidence.as_str()),
            "{name}: not one of {confidences:?}: {said:#?}"
        );
    }
    assert!(
        label.phase.is_none_or(|phase| said.phase == phase),
        "{name}: {said:#?}"
    );
    assert!(!said.evidence.is_empty(), "{name}: {said:#?}");
}

/// Where the kernel gives no reason (before Linux 6.10) the packets often allow no more than a
/// guess. It must be told as one, and be the label, `unknown`, or the one other cause that looks
/// the same, with a word that it does.
fn is_fair_guess(said: &ResetLine, label: &Reset) -> bool {
    let names_the_rule = || {
        said.evidence
            .iter()
            .any(|clause| clause.contains("reject rule would look the same"))
    };
    said.confidence == "heuristic"
        && ability::missing("reset-reasons").is_some()
        && (said.cause == label.cause
            || said.cause == "unknown"
            || (said.cause == "closed-port" && label.cause == "reject-rule" && names_the_rule()))
}

/// What a cause can be known by. On a kernel that gives no reason the packets must do.
const fn sure(cause: &str) -> &'static [&'static str] {
    match cause.as_bytes() {
        b"conntrack-invalid" => &["conntrack", "packet"],
        b"idle-expiry" => &["conntrack"],
        b"injected" => &["packet", "heuristic"],
        b"reject-rule" => &["kernel", "heuristic"],
        _ => &["kernel", "packet"],
    }
}

/// Makes the translation happen before a capture of all interfaces and compares what is said
/// about it with the label.
///
/// # Panics
///
/// When something else is said, or nothing.
#[track_caller]
pub fn assert_followed(translation: &Translation) {
    let witnessed = Witnessed::event(&["-i", "any"], translation.prepare, |lab| {
        if ability::is_guest() && translation.proto == "tcp" {
            warm(lab);
        }
        (translation.happen)(lab)
    });
    let name = translation.name;
    let said = &witnessed.flows;
    if let [first, second] = &said.nats[..]
        && translation.known_by == KnownBy::ConntrackAlone
    {
        assert_steps(translation, first, second);
        assert!(said.resets.is_empty(), "{name}: {:#?}", said.resets);
        return;
    }
    let [nat] = &said.nats[..] else {
        panic!("{name}: not one translation: {said:#?}");
    };
    let ends = |view: &View| (view.src.to_owned(), view.dst.to_owned());
    let of = |ends: &Ends| (ends.src.clone(), ends.dst.clone());
    assert_eq!(
        (nat.proto.as_str(), nat.kind.as_str()),
        (translation.proto, translation.kind),
        "{name}: {nat:#?}"
    );
    assert_eq!(
        of(&nat.before),
        ends(&translation.before),
        "{name}: {nat:#?}"
    );
    assert_eq!(of(&nat.after), ends(&translation.after), "{name}: {nat:#?}");
    let known = |by: &str| nat.evidence.iter().any(|evidence| evidence == by);
    let packets = translation.known_by != KnownBy::ConntrackAlone
        // With br_netfilter the bridge translates, and its port has seen the packet before.
        || known("same-packet");
    let conntrack = translation.known_by != KnownBy::PacketsAlone;
    assert_eq!(
        (known("same-packet"), known("conntrack")),
        (packets, conntrack),
        "{name}: {nat:#?}"
    );

    let flow = said.flow(nat.flow);
    let same_protocol = said.flows.iter().filter(|one| one.proto == nat.proto);
    assert_eq!(same_protocol.count(), 1, "{name}: {said:#?}");
    let (client, server) = ends(&translation.before);
    assert_eq!(
        (&flow.client, &flow.server),
        (&client, &server),
        "{name}: {flow:#?}"
    );
    assert_eq!(flow.nat.len(), 1, "{name}: {flow:#?}");
    for view in [&translation.before, &translation.after] {
        let Some((interface, direction)) = view.at else {
            continue;
        };
        let passed = flow.path.iter().any(|stop| {
            stop.interface == interface
                && stop.direction == direction
                && of(&stop.tuple) == ends(view)
        });
        assert!(passed, "{name}: not at {interface} {direction}: {flow:#?}");
    }
    if packets {
        // The hook before it and the hook after it: each with the tuple that it had there.
        let [before, after] = &nat.seen[..] else {
            panic!("{name}: not seen before and after: {nat:#?}");
        };
        for (at, view) in [(before, &nat.before), (after, &nat.after)] {
            let (src, dst) = of(view);
            // An answer shows it as well, where the first packet took too long to be known again.
            let either_way = [(src.clone(), dst.clone()), (dst, src)];
            let passed = flow.path.iter().any(|stop| {
                stop.interface == at.interface
                    && stop.direction == at.direction
                    && either_way.contains(&of(&stop.tuple))
            });
            assert!(passed, "{name}: not as {view:?} at {at:?}: {flow:#?}");
        }
    }
    assert!(said.resets.is_empty(), "{name}: {:#?}", said.resets);
    assert_agrees(name, &witnessed, &[]);
}

/// Sends a datagram of each kind through the node's interfaces, which nobody translates and nobody
/// takes. An emulated machine translates code when it first runs, and the capture's programs are new:
/// their first packet can be on its way from hook to hook for longer than the 50 ms for which it is known
/// again, and only conntrack would tell of the connection that it opens.
fn warm(lab: &Node) {
    let ways = [
        (&lab.pod, "0.0.0.0:0", "10.88.0.1:9"),
        (&lab.pod, "[::]:0", "[2001:db8:88::1]:9"),
        (&lab.node, "0.0.0.0:0", "192.0.2.9:9"),
        (&lab.node, "[::]:0", "[2001:db8:2::9]:9"),
    ];
    for (from, own, to) in ways {
        if let Err(error) = from.udp(own).send_to(b"warm", to) {
            panic!("no datagram can be sent to {to}: {error}");
        }
    }
}

/// Where conntrack's word comes later than the packets are written, as on a busy machine, and each end was
/// translated at a step of its own, the two steps are told: together they are the label.
#[track_caller]
fn assert_steps(translation: &Translation, first: &NatLine, second: &NatLine) {
    let name = translation.name;
    let ends = |view: &View| (view.src.to_owned(), view.dst.to_owned());
    let of = |ends: &Ends| (ends.src.clone(), ends.dst.clone());
    assert_eq!(
        (of(&first.before), of(&second.after)),
        (ends(&translation.before), ends(&translation.after)),
        "{name}: {first:#?} {second:#?}"
    );
    assert_eq!(of(&first.after), of(&second.before), "{name}");
    assert_eq!((first.flow, &first.proto), (second.flow, &second.proto));
    for nat in [first, second] {
        let is_seen = nat.evidence.iter().any(|it| it == "same-packet");
        assert!(is_seen && nat.seen.len() == 2, "{name}: {nat:#?}");
    }
}
