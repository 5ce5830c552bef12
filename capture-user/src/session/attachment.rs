//! What is said at the start of how a capture is attached, and of what killed ones left behind.

use crate::kernel::attach::sweep;
use crate::kernel::attach::xdp::XdpMode;
use crate::kernel::attach::{Attachment, Hook};
use crate::target::links::Link;
use crate::target::name::printable;

/// How each interface was attached to.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    filters: bool,
    notes: Vec<String>,
}

impl Attachments {
    pub(super) fn add(&mut self, link: &Link, how: Vec<Attachment>) {
        self.filters |= how
            .iter()
            .any(|how| matches!(how, Attachment::Clsact { .. }));
        self.notes.extend(notes_of(link, &how));
    }

    /// What differs from what was asked for, or from what is best.
    pub(super) fn notes(self, asked: Hook) -> Vec<String> {
        let mut notes = self.notes;
        if asked == Hook::Xdp {
            notes.insert(
                0,
                "XDP sees only what comes in: nothing that leaves is captured, no packet is \
                 recognised at another interface, and none is followed beyond a translation"
                    .to_owned(),
            );
        }
        if self.filters && asked == Hook::Tc {
            notes.insert(
                0,
                "this kernel has no TCX (Linux 6.6): attached by clsact filters, which a SIGKILL \
                 leaves behind, until the next capture here or `nodecap sweep`"
                    .to_owned(),
            );
        }
        notes
    }
}

/// What there is to say of one interface.
pub(super) fn notes_of(link: &Link, how: &[Attachment]) -> Vec<String> {
    let name = printable(&link.name);
    how.iter()
        .filter_map(|how| match how {
            Attachment::Tcx | Attachment::Clsact { priority: 1 } => None,
            Attachment::Clsact { priority } => Some(format!(
                "{name}: filters of another kind run before ours (priority {priority}); what they \
                 end isn't seen"
            )),
            Attachment::Xdp(XdpMode::Native) => Some(format!("{name}: native XDP")),
            Attachment::Xdp(XdpMode::Generic { why }) => {
                Some(format!("{name}: generic XDP, in the stack: {why}"))
            }
        })
        .collect()
}

/// Takes away what killed captures left on this node's interfaces.
pub(super) fn sweep(notes: &mut Vec<String>) {
    match sweep::sweep() {
        Ok(swept) => notes.extend(
            swept
                .removed
                .iter()
                .map(|found| format!("removed what a killed capture left: {found}")),
        ),
        // The capture can do without.
        Err(error) => notes.push(error.to_string()),
    }
}
