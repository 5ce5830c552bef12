//! The interface statistics block (draft, section 4.6): the ledger of one interface.

use std::time::Duration;

use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};

use super::option;
use crate::packet::InterfaceId;

/// The length in bytes of every block of this kind that is written here: type, length, interface,
/// time in two halves; seven options of eight bytes each and the end of them; the length again.
pub const BLOCK_LEN: usize = 5 * 4 + 7 * option::option_len(8) + option::HEADER_LEN + 4;

/// What a session knows of one interface at the end. What was written, the file knows by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// When the capture began there, in nanoseconds since the Unix epoch: `isb_starttime`.
    pub start: u64,
    /// When it ended, likewise: `isb_endtime`.
    pub end: u64,
    /// Packets that the filter matched: `isb_filteraccept`, and `isb_ifrecv` too, since those that
    /// it didn't match aren't counted.
    pub matched: u64,
    /// Of these, packets lost before they were handed to the file, at whatever stage. `isb_ifdrop`
    /// is this and those that the file had taken and couldn't write.
    pub lost: u64,
    /// Of the lost ones, those that the kernel side lost: `isb_osdrop`.
    pub lost_in_kernel: u64,
}

impl Statistics {
    /// The block as `pcap-file` knows it, for an interface of which `written` packets are in the
    /// file and `unwritten` ones were handed over and aren't.
    pub(super) fn block(
        &self,
        interface: InterfaceId,
        written: u64,
        unwritten: u64,
    ) -> InterfaceStatisticsBlock<'static> {
        use InterfaceStatisticsOption as Opt;
        let end = Duration::from_nanos(self.end);
        InterfaceStatisticsBlock {
            interface_id: interface,
            timestamp: end,
            options: vec![
                Opt::IsbStartTime(Duration::from_nanos(self.start)),
                Opt::IsbEndTime(end),
                Opt::IsbIfRecv(self.matched),
                Opt::IsbIfDrop(self.lost.saturating_add(unwritten)),
                Opt::IsbFilterAccept(self.matched),
                Opt::IsbOsDrop(self.lost_in_kernel),
                Opt::IsbUsrDeliv(written),
            ],
        }
    }
}
