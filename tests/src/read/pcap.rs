//! The classic pcap format, as tcpdump writes it (draft-ietf-opsawg-pcap).

use super::{CaptureFile, Captured, Complaint, Cursor, Interface};

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;

/// Takes a pcap file apart.
///
/// # Errors
///
/// Where it breaks the format's rules. A packet that is cut off at the end isn't an error.
pub fn parse(bytes: &[u8]) -> Result<CaptureFile, Complaint> {
    let mut cursor = Cursor { rest: bytes };
    let nanoseconds_a_unit = match cursor.u32()? {
        MICROSECONDS => 1_000,
        NANOSECONDS => 1,
        other => {
            return Err(format!(
                "neither pcapng nor pcap: it begins with {other:#x}"
            ));
        }
    };
    let version = (cursor.u16()?, cursor.u16()?);
    if version != (2, 4) {
        return Err(format!("version {version:?}"));
    }
    cursor.take(8)?;
    let (snap_len, link_type) = (cursor.u32()?, cursor.u32()? as u16);
    let units_per_second = 1_000_000_000 / nanoseconds_a_unit;
    let mut file = CaptureFile {
        interfaces: vec![Interface {
            link_type,
            snap_len,
            units_per_second,
            ..Default::default()
        }],
        ..Default::default()
    };
    while !cursor.rest.is_empty() {
        let Ok(packet) = packet(&mut cursor, nanoseconds_a_unit) else {
            file.cut = true;
            break;
        };
        if packet.data.len() > packet.original_len as usize || packet.data.len() > snap_len as usize
        {
            return Err(format!(
                "packet {} holds too many bytes",
                file.packets.len() + 1
            ));
        }
        file.packets.push(packet);
    }
    Ok(file)
}

fn packet(cursor: &mut Cursor<'_>, nanoseconds_a_unit: u64) -> Result<Captured, Complaint> {
    let (seconds, units) = (u64::from(cursor.u32()?), u64::from(cursor.u32()?));
    let (len, original_len) = (cursor.u32()?, cursor.u32()?);
    Ok(Captured {
        time_ns: seconds * 1_000_000_000 + units * nanoseconds_a_unit,
        data: cursor.take(len as usize)?.to_vec(),
        original_len,
        ..Default::default()
    })
}
