//! Frames of many TCP connections, made as fast as they can be looked at.

/// Ethernet, IPv4, TCP with timestamps, and as many payload bytes as `-s 96` leaves.
pub(crate) const FRAME_LEN: usize = 96;
/// As long as the frames are said to be on the wire.
pub(crate) const WIRE_LEN: u32 = 1_400;
/// Headers with options.
const HEADERS_LEN: u32 = 66;

/// TCP flag: opens a connection.
pub(crate) const SYN: u8 = 2;
/// TCP flag: the acknowledgement number counts.
pub(crate) const ACK: u8 = 16;

/// The first bytes of a frame.
pub(crate) type Start = [u8; FRAME_LEN];

/// So many connections: where each of them has come.
pub(crate) struct Traffic {
    /// By flow: the numbers that each side sends next.
    numbers: Vec<[u32; 2]>,
    random: u64,
    packets: u64,
}

impl Traffic {
    pub(crate) fn new(flows: usize) -> Self {
        Self {
            numbers: vec![[1_000, 5_000]; flows],
            random: 0x9e37_79b9_7f4a_7c15,
            packets: 0,
        }
    }

    /// One of the first `flows`, and one of its sides (0 the client), at random.
    pub(crate) fn choose(&mut self, flows: usize) -> (usize, usize) {
        // Knuth's MMIX generator, of which the high bits are good.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let flow = ((self.random >> 32) * flows as u64) >> 32;
        (flow as usize, (self.random >> 31 & 1) as usize)
    }

    /// The next segment of a flow's side, seen at `time` (nanoseconds).
    pub(crate) fn segment(&mut self, flow: usize, side: usize, flags: u8, time: u64) -> Start {
        let frame = self.repeat(flow, side, flags, time);
        let opens = flags & SYN != 0;
        let sent = u32::from(opens) + if opens { 0 } else { WIRE_LEN - HEADERS_LEN };
        self.numbers[flow][side] = self.numbers[flow][side].wrapping_add(sent);
        self.packets += 1;
        frame
    }

    /// The same, and nothing comes of it: the next one has the same numbers.
    pub(crate) fn repeat(&self, flow: usize, side: usize, flags: u8, time: u64) -> Start {
        let mut frame = [0x5a; FRAME_LEN];
        let client = [10, (flow >> 16) as u8, (flow >> 8) as u8, flow as u8];
        let server = [192, 0, 2, 9];
        let [mine, others] = if side == 0 {
            self.numbers[flow]
        } else {
            let [client, server] = self.numbers[flow];
            [server, client]
        };
        let (source, destination, ports) = if side == 0 {
            (client, server, [40_000u16, 443])
        } else {
            (server, client, [443, 40_000])
        };
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            frame[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
        let total = if flags & SYN == 0 {
            WIRE_LEN
        } else {
            HEADERS_LEN
        } - 14;
        put(&[0x45, 0]);
        put(&(total as u16).to_be_bytes());
        put(&(self.packets as u16).to_be_bytes());
        put(&[0x40, 0, 64, 6, 0, 0]);
        put(&source);
        put(&destination);
        put(&ports[0].to_be_bytes());
        put(&ports[1].to_be_bytes());
        put(&mine.to_be_bytes());
        put(&others.to_be_bytes());
        put(&[8 << 4, flags, 0xfa, 0xf0, 0, 0, 0, 0]);
        put(&[1, 1, 8, 10]);
        put(&((time / 1_000_000) as u32).to_be_bytes());
        put(&[0; 4]);
        frame
    }
}
