//! The interface statistics block (draft, section 4.6): the ledger of one interface.

use super::option;
use crate::packet::InterfaceId;

/// The length in bytes of every block of this kind that is written here: type, length, interface,
/// time in two halves; seven options of eight bytes each and the end of them; the length again.
pub const BLOCK_LEN: usize = 5 * 4 + 7 * option::option_len(8) + option::HEADER_LEN + 4;

/// The type code of the block.
const KIND: u32 = 5;
/// `isb_starttime`; the others follow: `isb_endtime`, `isb_ifrecv`, `isb_ifdrop`,
/// `isb_filteraccept`, `isb_osdrop`, `isb_usrdeliv`.
const START: u16 = 2;

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
    /// Appends the block of an interface of which `written` packets are in the file and `unwritten`
    /// ones were handed over and aren't. Little-endian, times in nanoseconds.
    pub fn put(&self, interface: InterfaceId, written: u64, unwritten: u64, out: &mut Vec<u8>) {
        let len = (BLOCK_LEN as u32).to_le_bytes();
        let times = [self.start, self.end];
        let counts = [
            self.matched,
            self.lost.saturating_add(unwritten),
            self.matched,
            self.lost_in_kernel,
            written,
        ];
        out.extend_from_slice(&KIND.to_le_bytes());
        out.extend_from_slice(&len);
        out.extend_from_slice(&interface.to_le_bytes());
        out.extend_from_slice(&halves(self.end));
        for (code, time) in (START..).zip(times) {
            option::put(out, code, &halves(time));
        }
        for (code, count) in (START + 2..).zip(counts) {
            option::put(out, code, &count.to_le_bytes());
        }
        option::put(out, option::END, &[]);
        out.extend_from_slice(&len);
    }
}

/// A time as the format has it: the upper half first, whatever the byte order.
fn halves(time: u64) -> [u8; 8] {
    let ((a, b), mut bytes) = ((time >> 32, time), [0; 8]);
    bytes[..4].copy_from_slice(&(a as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&(b as u32).to_le_bytes());
    bytes
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that meets one has failed")]
mod tests {
    use std::time::Duration;

    use pcap_file::pcapng::PcapNgWriter;
    use pcap_file::pcapng::blocks::interface_description::{
        InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
    };
    use pcap_file::pcapng::blocks::interface_statistics::{
        InterfaceStatisticsBlock, InterfaceStatisticsOption as Opt,
    };
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_block_is_byte_by_byte_what_another_writer_makes_of_it(
            times in any::<(u32, u32, u32)>(),
            counts in any::<(u64, u32, u64, u64, u32)>(),
        ) {
            let (start, end) = (u64::from(times.0) << 31, u64::from(times.1) << 31 | u64::from(times.2));
            let (matched, lost, lost_in_kernel, written, unwritten) = counts;
            let known = Statistics { start, end, matched, lost: lost.into(), lost_in_kernel };
            let mut ours = Vec::new();
            known.put(0, written, unwritten.into(), &mut ours);

            let mut writer = PcapNgWriter::new(Vec::new()).unwrap();
            writer.write_pcapng_block(InterfaceDescriptionBlock {
                linktype: pcap_file::DataLink::ETHERNET,
                snaplen: 0,
                options: vec![InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO)],
            }).unwrap();
            let before = writer.get_mut().len();
            writer.write_pcapng_block(InterfaceStatisticsBlock {
                interface_id: 0,
                timestamp: Duration::from_nanos(end),
                options: vec![
                    Opt::IsbStartTime(Duration::from_nanos(start)),
                    Opt::IsbEndTime(Duration::from_nanos(end)),
                    Opt::IsbIfRecv(matched),
                    Opt::IsbIfDrop(u64::from(lost) + u64::from(unwritten)),
                    Opt::IsbFilterAccept(matched),
                    Opt::IsbOsDrop(lost_in_kernel),
                    Opt::IsbUsrDeliv(written),
                ],
            }).unwrap();
            prop_assert_eq!(&ours, &writer.get_mut()[before..]);
            prop_assert_eq!(ours.len(), BLOCK_LEN);
        }
    }
}
