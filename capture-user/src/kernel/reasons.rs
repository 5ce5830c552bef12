//! Reasons by name: why a reset was sent, why a packet was dropped.
//!
//! The numbers differ from kernel to kernel; its own type information names them.

use std::collections::HashMap;

use super::btf::Btf;

/// The running kernel's names.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    resets: HashMap<u32, &'static str>,
    drops: HashMap<u32, &'static str>,
}

impl Reasons {
    /// Looks them up.
    pub(super) fn find(btf: &Btf) -> Self {
        Self {
            resets: names(btf, "sk_rst_reason", "SK_RST_REASON_"),
            drops: names(btf, "skb_drop_reason", "SKB_DROP_REASON_"),
        }
    }

    /// Of `enum sk_rst_reason`.
    pub(super) fn of_reset(&self, number: u32) -> Option<&'static str> {
        self.resets.get(&number).copied()
    }

    /// Of `enum skb_drop_reason`.
    pub(super) fn of_drop(&self, number: u32) -> Option<&'static str> {
        self.drops.get(&number).copied()
    }
}

/// The names with this prefix, without it; others, such as the masks, aren't reasons.
fn names(btf: &Btf, list: &str, prefix: &str) -> HashMap<u32, &'static str> {
    let mut names = HashMap::new();
    for (number, name) in btf.enumerators(list).unwrap_or_default() {
        if let Some(name) = name.strip_prefix(prefix) {
            // The first of two with one number is the more specific one.
            names
                .entry(number)
                .or_insert_with(|| &*Box::leak(Box::<str>::from(name)));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use capture_common::event::NO_REASON;

    use crate::kernel::types::Types;

    #[test]
    fn this_kernels_reasons_have_their_names_without_prefix() {
        let reasons = &Types::of_this_kernel().reasons;
        assert!(reasons.drops.values().any(|name| *name == "NETFILTER_DROP"));
        assert!(reasons.drops.values().any(|name| *name == "NO_SOCKET"));
        assert_eq!(reasons.of_reset(NO_REASON), None);
        assert_eq!(reasons.of_drop(NO_REASON), None);
        assert_eq!(reasons.of_drop(0x7fff_0000), None);
    }
}
