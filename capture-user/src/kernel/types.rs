//! What is looked up in the running kernel's type information: all at once, since reading and
//! walking its 5 MB is a good part of what a start takes.

use std::sync::OnceLock;

use super::btf::Btf;
use super::layout::Layout;
use super::reasons::Reasons;

/// All that is looked up. Kept for as long as the process lives.
#[derive(Debug)]
pub(super) struct Types {
    pub(super) layout: Layout,
    pub(super) reasons: Reasons,
}

impl Types {
    /// The running kernel's, looked up the first time.
    pub(super) fn of_this_kernel() -> &'static Self {
        static TYPES: OnceLock<Types> = OnceLock::new();
        TYPES.get_or_init(|| match Btf::of_this_kernel() {
            Ok(btf) => Self {
                layout: Layout::find(&btf),
                reasons: Reasons::find(&btf),
            },
            Err(error) => {
                tracing::debug!("reasons have no names: {error}");
                Self {
                    layout: Layout::without(&error),
                    reasons: Reasons::default(),
                }
            }
        })
    }
}
