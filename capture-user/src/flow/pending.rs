//! A reset between its first sighting and its verdict, and afterwards, in case that what follows
//! amends the verdict.

use super::evidence::{KernelReset, Mapping};
use super::live::FlowRef;
use super::record::ResetRecord;
use super::reset::{Case, Environment, Phase, Segment, Side, Stop};
use super::tuple::Tuple;

/// A [`Case`] that owns what it refers to.
#[derive(Clone, Debug)]
pub(super) struct OwnedCase {
    pub(super) reset: Segment,
    pub(super) path: Vec<Stop>,
    pub(super) answered: Option<Segment>,
    pub(super) answered_path: Vec<Stop>,
    pub(super) answered_dropped: Option<&'static str>,
    pub(super) sender: Side,
    pub(super) receiver: Side,
    pub(super) phase: Phase,
    pub(super) from_its_start: bool,
    pub(super) idle: u64,
    pub(super) round_trip: Option<u64>,
    pub(super) handshake_timed: bool,
    pub(super) tuples: Vec<Tuple>,
    pub(super) sent: Option<KernelReset>,
    pub(super) received: Option<KernelReset>,
    pub(super) told_all: bool,
    pub(super) mapping: Option<Mapping>,
}

impl OwnedCase {
    /// As the judge takes it.
    pub(super) fn case<'a>(&'a self, environment: &'a Environment) -> Case<'a> {
        Case {
            reset: self.reset,
            path: &self.path,
            answered: self.answered,
            answered_path: &self.answered_path,
            answered_dropped: self.answered_dropped,
            sender: self.sender,
            receiver: self.receiver,
            phase: self.phase,
            from_its_start: self.from_its_start,
            idle: self.idle,
            round_trip: self.round_trip,
            handshake_timed: self.handshake_timed,
            tuples: &self.tuples,
            sent: self.sent,
            received: self.received,
            told_all: self.told_all,
            mapping: self.mapping,
            environment,
        }
    }
}

/// A reset that was seen.
#[derive(Debug)]
pub(super) struct Pending {
    /// The packet's number.
    pub(super) packet: u64,
    /// When it was first seen.
    pub(super) time: u64,
    pub(super) flow: FlowRef,
    /// Which side sent it.
    pub(super) from: usize,
    /// The sender's segments after a reset, before this one.
    pub(super) after_reset: u16,
    /// The packet that it may answer: the low bits of its number.
    pub(super) answered_packet: u32,
    /// What was known when it was seen; nothing once it was judged.
    pub(super) case: Option<Box<OwnedCase>>,
    /// The comment, once it was judged.
    pub(super) comment: String,
}

/// A reset with its verdict, kept with its flow.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) record: ResetRecord,
    pub(super) case: Box<OwnedCase>,
    pub(super) from: usize,
    pub(super) after_reset: u16,
}
