//! What is said at the start of how a capture is attached, and of what killed ones left behind.

use crate::kernel::attach::sweep;
use crate::kernel::attach::xdp::XdpMode;
use crate::kernel::attach::{Attachment, Hook};
use crate::target::name::printable;

/// How each interface was attached to.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    filters: bool,
    notes: Vec<String>,
}

impl Attachments {
    pub(super) fn add(&mut self, interface: &str, how: &[Attachment]) {
        self.filters |= how
            .iter()
            .any(|how| matches!(how, Attachment::Clsact { .. }));
        self.notes.extend(notes_of(interface, how));
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
pub(super) fn notes_of(interface: &str, how: &[Attachment]) -> Vec<String> {
    let name = printable(interface);
    let is_behind = |how: &Attachment| {
        matches!(
            how,
            Attachment::Clsact {
                behind_tcx: true,
                ..
            }
        )
    };
    let behind_tcx = how.iter().any(is_behind).then(|| {
        format!(
            "{name}: TCX programs of others run before all filters, ours too; what they end or \
             redirect isn't seen: --hook tc runs before them"
        )
    });
    let notes = how.iter().filter_map(|how| match how {
        Attachment::Tcx | Attachment::Clsact { priority: 1, .. } => None,
        Attachment::Clsact { priority, .. } => Some(format!(
            "{name}: filters of another kind run before ours (priority {priority}); what they \
             end isn't seen"
        )),
        Attachment::Xdp(XdpMode::Native) => Some(format!("{name}: native XDP")),
        Attachment::Xdp(XdpMode::Generic { why }) => {
            Some(format!("{name}: generic XDP, in the stack: {why}"))
        }
    });
    behind_tcx.into_iter().chain(notes).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(asked: Hook, how: &[Attachment]) -> Vec<String> {
        let mut attachments = Attachments::default();
        for index in [1, 2] {
            attachments.add(&format!("eth{index}"), how);
        }
        attachments.notes(asked)
    }

    #[test]
    fn a_kernel_without_tcx_is_told_of_once_and_not_to_whoever_asked_for_filters() {
        let filters = [Attachment::Clsact {
            priority: 1,
            behind_tcx: false,
        }];
        let said = notes(Hook::Tc, &filters);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("no TCX") && said[0].contains("nodecap sweep"));
        assert!(notes(Hook::Clsact, &filters).is_empty());
        assert!(notes(Hook::Tc, &[Attachment::Tcx]).is_empty());
    }

    #[test]
    fn each_interface_with_a_later_priority_or_by_xdp_is_named() {
        let said = notes(
            Hook::Clsact,
            &[Attachment::Clsact {
                priority: 3,
                behind_tcx: false,
            }],
        );
        assert!(said.len() == 2 && said[1].starts_with("eth2: ") && said[1].contains('3'));
        let why = "its driver has no XDP".to_owned();
        let said = notes(Hook::Xdp, &[Attachment::Xdp(XdpMode::Generic { why })]);
        assert!(said[0].contains("only what comes in"));
        assert_eq!(
            said[1],
            "eth1: generic XDP, in the stack: its driver has no XDP"
        );
    }
}
