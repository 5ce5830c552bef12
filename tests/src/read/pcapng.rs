//! The pcapng format (draft-ietf-opsawg-pcapng); the block and option numbers are from there.

use super::{CaptureFile, Captured, Complaint, Cursor, Direction, Interface, Section, Statistics};

/// Block type of the section header, the same in both byte orders.
pub const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Block type of an interface description.
pub const INTERFACE_DESCRIPTION: u32 = 1;
/// Block type of name resolution.
pub const NAME_RESOLUTION: u32 = 4;
/// Block type of interface statistics.
pub const INTERFACE_STATISTICS: u32 = 5;
/// Block type of an enhanced packet.
pub const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

/// Takes a pcapng file of one section apart.
///
/// # Errors
///
/// Where it breaks the format's rules. A block that is cut off at the end isn't an error.
pub fn parse(bytes: &[u8]) -> Result<CaptureFile, Complaint> {
    let mut file = CaptureFile::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        let number = file.blocks.len() + 1;
        let complain = |complaint| format!("block {number}: {complaint}");
        let Some((kind, body, after)) = split_block(rest).map_err(complain)? else {
            file.cut = true;
            break;
        };
        rest = after;
        add_block(&mut file, kind, body).map_err(complain)?;
        file.blocks.push(kind);
    }
    if file.blocks.first() != Some(&SECTION_HEADER) {
        return Err("no section header".into());
    }
    Ok(file)
}

/// A block's type, its body, and what follows it.
type Split<'a> = (u32, &'a [u8], &'a [u8]);

/// The first block of these bytes, or nothing if they end before it does.
fn split_block(bytes: &[u8]) -> Result<Option<Split<'_>>, Complaint> {
    if bytes.len() < 8 {
        return Ok(None);
    }
    let mut cursor = Cursor { rest: bytes };
    let (kind, len) = (cursor.u32()?, cursor.u32()? as usize);
    if len < 12 || !len.is_multiple_of(4) {
        return Err(format!("total length {len}"));
    }
    if len > bytes.len() {
        return Ok(None);
    }
    let body = cursor.take(len - 12)?;
    let again = cursor.u32()? as usize;
    if again != len {
        return Err(format!(
            "total length {len} at its start, {again} at its end"
        ));
    }
    Ok(Some((kind, body, cursor.rest)))
}

fn add_block(file: &mut CaptureFile, kind: u32, body: &[u8]) -> Result<(), Complaint> {
    let mut cursor = Cursor { rest: body };
    match (kind, file.blocks.is_empty()) {
        (SECTION_HEADER, true) => file.section = section(&mut cursor)?,
        (SECTION_HEADER, false) => return Err("a second section header".into()),
        (_, true) => return Err("the section header isn't first".into()),
        (INTERFACE_DESCRIPTION, _) => file.interfaces.push(interface(&mut cursor)?),
        (ENHANCED_PACKET, _) => {
            let packet = packet(&mut cursor, &file.interfaces)?;
            file.packets.push(packet);
        }
        (INTERFACE_STATISTICS, _) => {
            let block = statistics(&mut cursor, &file.interfaces)?;
            file.statistics.push(block);
        }
        (NAME_RESOLUTION, _) => {}
        (other, _) => return Err(format!("type {other:#x}, which nobody expects here")),
    }
    Ok(())
}

fn section(cursor: &mut Cursor<'_>) -> Result<Section, Complaint> {
    let (magic, version) = (cursor.u32()?, (cursor.u16()?, cursor.u16()?));
    if magic != BYTE_ORDER_MAGIC || version != (1, 0) {
        return Err(format!("magic {magic:#x}, version {version:?}"));
    }
    // The section's length, which may be left open with -1.
    cursor.u64()?;
    let mut section = Section::default();
    for (code, value) in options(cursor)? {
        match code {
            1 => section.comments.push(text(value)?),
            2 => section.hardware = Some(text(value)?),
            3 => section.os = Some(text(value)?),
            4 => section.application = Some(text(value)?),
            _ => {}
        }
    }
    Ok(section)
}

fn interface(cursor: &mut Cursor<'_>) -> Result<Interface, Complaint> {
    let (link_type, reserved, snap_len) = (cursor.u16()?, cursor.u16()?, cursor.u32()?);
    if reserved != 0 {
        return Err(format!("reserved field {reserved:#x}"));
    }
    let units_per_second = 1_000_000;
    let mut found = Interface {
        link_type,
        snap_len,
        units_per_second,
        ..Default::default()
    };
    for (code, value) in options(cursor)? {
        match code {
            2 => found.name = Some(text(value)?),
            3 => found.description = Some(text(value)?),
            6 if value.len() == 6 => found.hardware_address = Some(value.to_vec()),
            6 => return Err(format!("a hardware address of {} bytes", value.len())),
            9 => found.units_per_second = units(value)?,
            11 => match value.split_first() {
                Some((0, filter)) => found.filter = Some(text(filter)?),
                _ => return Err(format!("a filter that isn't text: {value:?}")),
            },
            12 => found.os = Some(text(value)?),
            15 => found.hardware = Some(text(value)?),
            _ => {}
        }
    }
    Ok(found)
}

/// `if_tsresol`, of which only powers of ten are expected.
fn units(value: &[u8]) -> Result<u64, Complaint> {
    match value {
        [exponent @ 0..=9] => Ok(10u64.pow(u32::from(*exponent))),
        _ => Err(format!("timestamp resolution {value:?}")),
    }
}

fn packet(cursor: &mut Cursor<'_>, interfaces: &[Interface]) -> Result<Captured, Complaint> {
    let (place, interface) = of_interface(cursor, interfaces)?;
    let time_ns = time(cursor, interface)?;
    let (len, original_len) = (cursor.u32()?, cursor.u32()?);
    let most = if interface.snap_len == 0 {
        u32::MAX
    } else {
        interface.snap_len
    };
    if len > original_len || len > most {
        return Err(format!(
            "{len} bytes of {original_len}, snapshot length {most}"
        ));
    }
    let data = cursor.take_padded(len as usize)?.to_vec();
    let mut packet = Captured {
        time_ns,
        interface: place,
        data,
        original_len,
        ..Default::default()
    };
    for (code, value) in options(cursor)? {
        match code {
            1 => packet.comments.push(text(value)?),
            2 => {
                let flags = Cursor {
                    rest: exactly(value, 4)?,
                }
                .u32()?;
                packet.flags = Some(flags);
                packet.direction = match flags & 3 {
                    0 => None,
                    1 => Some(Direction::Inbound),
                    2 => Some(Direction::Outbound),
                    _ => return Err(format!("flags {flags:#x}: no such direction")),
                };
            }
            4 => packet.dropcount = number(value)?,
            5 => packet.packet_id = Some(number(value)?),
            6 => drop(exactly(value, 4)?),
            7 if value.len() != 9 && matches!(value.first(), Some(1 | 2)) => {
                return Err(format!("a verdict of {} bytes", value.len()));
            }
            _ => {}
        }
    }
    Ok(packet)
}

fn statistics(cursor: &mut Cursor<'_>, interfaces: &[Interface]) -> Result<Statistics, Complaint> {
    let (place, interface) = of_interface(cursor, interfaces)?;
    let time_ns = time(cursor, interface)?;
    let mut block = Statistics {
        interface: place,
        time_ns,
        ..Default::default()
    };
    for (code, value) in options(cursor)? {
        match code {
            2 => {
                block.start_ns = Some(time(
                    &mut Cursor {
                        rest: exactly(value, 8)?,
                    },
                    interface,
                )?)
            }
            3 => {
                block.end_ns = Some(time(
                    &mut Cursor {
                        rest: exactly(value, 8)?,
                    },
                    interface,
                )?)
            }
            4 => block.received = Some(number(value)?),
            5 => block.dropped = Some(number(value)?),
            6 => block.accepted = Some(number(value)?),
            7 => block.dropped_by_os = Some(number(value)?),
            8 => block.delivered = Some(number(value)?),
            _ => {}
        }
    }
    Ok(block)
}

fn of_interface<'a>(
    cursor: &mut Cursor<'_>,
    interfaces: &'a [Interface],
) -> Result<(usize, &'a Interface), Complaint> {
    let place = cursor.u32()? as usize;
    let interface = interfaces
        .get(place)
        .ok_or_else(|| format!("interface {place}, of which nothing was said before"))?;
    Ok((place, interface))
}

/// A timestamp of two words, the upper one first whatever the byte order.
fn time(cursor: &mut Cursor<'_>, interface: &Interface) -> Result<u64, Complaint> {
    let units = u64::from(cursor.u32()?) << 32 | u64::from(cursor.u32()?);
    Ok(units * (1_000_000_000 / interface.units_per_second))
}

/// All options up to the one that ends the list, which must be there if any option is, and after
/// which nothing may come.
fn options<'a>(cursor: &mut Cursor<'a>) -> Result<Vec<(u16, &'a [u8])>, Complaint> {
    let mut options = Vec::new();
    while !cursor.rest.is_empty() {
        let (code, len) = (cursor.u16()?, cursor.u16()?);
        if code != 0 {
            options.push((code, cursor.take_padded(len.into())?));
        } else if len == 0 && cursor.rest.is_empty() {
            return Ok(options);
        } else {
            return Err(format!(
                "options end {} bytes before the block does",
                cursor.rest.len()
            ));
        }
    }
    if options.is_empty() {
        Ok(options)
    } else {
        Err("options without an end".into())
    }
}

fn text(value: &[u8]) -> Result<String, Complaint> {
    let text = std::str::from_utf8(value).map_err(|error| format!("{value:?}: {error}"))?;
    if text.contains('\0') {
        return Err(format!("text with a zero byte: {text:?}"));
    }
    Ok(text.to_owned())
}

fn number(value: &[u8]) -> Result<u64, Complaint> {
    Cursor {
        rest: exactly(value, 8)?,
    }
    .u64()
}

fn exactly(value: &[u8], len: usize) -> Result<&[u8], Complaint> {
    if value.len() == len {
        Ok(value)
    } else {
        Err(format!("{value:?} isn't {len} bytes"))
    }
}
