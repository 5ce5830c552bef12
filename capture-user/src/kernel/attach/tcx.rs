//! TCX: the programs of an interface in a chain, each held by a link (Linux 6.6).

use aya::programs::links::LinkOrder;
use aya::programs::tc::{SchedClassifierLink, TcAttachOptions};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};

use super::super::error::KernelError;
use crate::packet::Direction;

/// Detaches when it is dropped, and with the process.
pub(super) type TcxLink = SchedClassifierLink;

/// Attaches a program at the head of the interface's chain.
pub(super) fn attach(
    program: &mut SchedClassifier,
    interface: &str,
    direction: Direction,
) -> Result<TcxLink, KernelError> {
    let failed = |source: ProgramError| KernelError::Attach {
        interface: interface.to_owned(),
        source: Box::new(source),
    };
    let way = match direction {
        Direction::In => TcAttachType::Ingress,
        Direction::Out => TcAttachType::Egress,
    };
    let first = TcAttachOptions::TcxOrder(LinkOrder::first());
    let link = program
        .attach_with_options(interface, way, first)
        .map_err(failed)?;
    program.take_link(link).map_err(failed)
}
