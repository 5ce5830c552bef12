//! A packet, whatever hook it is under: its bytes and its metadata.

use core::mem::MaybeUninit;

use capture_common::batch::LARGEST_IN_BATCH;

/// Types that any bit pattern is a valid value of.
pub trait Plain: Copy {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for u64 {}
impl<const N: usize> Plain for [u8; N] {}

/// A packet's bytes, wherever they are read from: the hook's own packet, or kernel memory.
pub trait Bytes {
    /// Reads `T` at `offset` bytes from the packet's start, or nothing if the packet ends before.
    fn read<T: Plain>(&self, offset: u32) -> Option<T>;

    /// [`crate::parse::step_over`], verified by itself.
    fn step_over(&self, at: u64) -> u64;

    /// Reads a number in network byte order.
    #[inline(always)]
    fn read_u16(&self, offset: u32) -> Option<u16> {
        self.read::<[u8; 2]>(offset).map(u16::from_be_bytes)
    }

    /// Reads two bytes as they lie.
    #[inline(always)]
    fn half_word(&self, offset: u32) -> Option<u16> {
        self.read(offset)
    }

    /// Reads four bytes as they lie.
    #[inline(always)]
    fn word(&self, offset: u32) -> Option<u32> {
        self.read(offset)
    }

    /// Reads eight bytes as they lie.
    #[inline(always)]
    fn double_word(&self, offset: u32) -> Option<u64> {
        self.read(offset)
    }
}

/// The packet under a hook.
pub trait Packet: Bytes {
    /// Where the part that can be read directly starts.
    fn start(&self) -> usize;

    /// Where it ends.
    fn end(&self) -> usize;

    /// Has the kernel copy `len` bytes at `offset`, wherever they are. False if there are fewer.
    ///
    /// # Safety
    ///
    /// `to` points to at least `len` writable bytes, which the verifier must see.
    unsafe fn load(&self, offset: u32, to: *mut u8, len: u32) -> bool;

    /// Bytes in the whole packet, fragments and GSO segments included.
    fn len(&self) -> u32;

    /// How many of its first bytes the hook can copy at most.
    #[inline(always)]
    fn reach(&self) -> u32 {
        self.len()
    }

    /// The index of the interface that this hook is on.
    fn interface(&self) -> u32;

    /// The EtherType behind the link header and an offloaded tag, as the stack knows it.
    fn protocol(&self) -> u16;

    /// The offloaded VLAN tag: protocol and TCI.
    fn vlan(&self) -> Option<(u16, u16)>;

    /// `gso_size` and `gso_segs`.
    fn gso(&self) -> (u32, u32);

    /// `pkt_type`.
    fn packet_type(&self) -> u32;

    /// What the same packet has at every hook and no other packet has at the same time; 0 where
    /// there is no such thing.
    fn identity(&self) -> u64;

    /// What the options' code for ordinary packets says of it, see [`crate::filter`].
    fn as_ordinary<const BARE: bool>(&self) -> u32;

    /// Where the packet within a tunnel's is, see [`crate::inner`].
    fn inner<const BARE: bool>(&self) -> u64;

    /// What is behind an IPv6 extension header, see [`crate::parse::step_over`].
    fn behind(&self, extension: u64) -> u64;

    /// Copies the packet's first `len` bytes to `to`, word by word where they can be read directly,
    /// which spares a call.
    ///
    /// # Safety
    ///
    /// `to` points to at least [`LARGEST_IN_BATCH`] writable bytes.
    #[inline(always)]
    unsafe fn copy_few(&self, to: *mut u8, len: u32) -> bool {
        let (start, end) = (self.start(), self.end());
        let beyond = len > LARGEST_IN_BATCH;
        if len < BLOCK || beyond || end - start < len as usize {
            // SAFETY: the caller's promise.
            return unsafe { self.copy_start(to, len, LARGEST_IN_BATCH) };
        }
        macro_rules! blocks {
            ($($number:literal)*) => {
                'last: {
                    $(
                        let behind = ($number + 1) * BLOCK;
                        // The second is what the verifier wants to see.
                        if len <= behind || start + behind as usize > end {
                            break 'last;
                        }
                        let at = $number * BLOCK as usize;
                        // SAFETY: within the packet and, since `len` is, within the room.
                        unsafe { copy_block(to.add(at), start + at) };
                    )*
                }
            };
        }
        blocks!(0 1 2 3 4 5 6 7);
        // The last ones, some of which may be there already.
        let at = clamp(
            u64::from(len - BLOCK) + 1,
            u64::from(LARGEST_IN_BATCH - BLOCK) + 1,
        ) as usize
            - 1;
        let from = start + at;
        if from + BLOCK as usize > end {
            return false;
        }
        // SAFETY: within the packet, as just checked, and within the room.
        unsafe { copy_block(to.add(at), from) };
        true
    }

    /// Copies the packet's first `len` bytes to `to`.
    ///
    /// # Safety
    ///
    /// `to` points to at least `room` writable bytes.
    #[inline(always)]
    unsafe fn copy_start(&self, to: *mut u8, len: u32, room: u32) -> bool {
        let len = clamp(u64::from(len), u64::from(room));
        // SAFETY: the clamp holds 1 <= len <= room, and the caller vouches for room.
        unsafe { self.load(0, to, len as u32) }
    }
}

/// Bytes that are copied at once.
const BLOCK: u32 = 32;

/// Copies that many bytes from the packet. In assembly, for the reason that is told at `words`.
///
/// # Safety
///
/// Both must be valid for so many bytes, which the verifier must see; neither needs to be aligned.
#[inline(always)]
unsafe fn copy_block(to: *mut u8, from: usize) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: the caller's promise.
    unsafe {
        core::arch::asm!(
            "{0} = *(u64 *)({1} + 0)",
            "*(u64 *)({2} + 0) = {0}",
            "{0} = *(u64 *)({1} + 8)",
            "*(u64 *)({2} + 8) = {0}",
            "{0} = *(u64 *)({1} + 16)",
            "*(u64 *)({2} + 16) = {0}",
            "{0} = *(u64 *)({1} + 24)",
            "*(u64 *)({2} + 24) = {0}",
            out(reg) _,
            in(reg) from,
            in(reg) to,
            options(nostack, preserves_flags),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: the caller's promise.
    unsafe {
        core::ptr::copy_nonoverlapping(from as *const u8, to, BLOCK as usize);
    }
}

/// Reads numbers from the packet at once. Headers lie at odd places, so LLVM would take them byte
/// by byte, which no kernel needs that can load this object.
macro_rules! words {
    ($($name:ident $number:ty, $load:literal)*) => {$(
        #[inline(always)]
        fn $name(&self, offset: u32) -> Option<$number> {
            #[cfg(target_arch = "bpf")]
            {
                let start = self.start() + offset as usize;
                if start + size_of::<$number>() <= self.end() {
                    let number: u64;
                    // SAFETY: these bytes lie in the packet, as just checked (and the verifier
                    // insists on).
                    unsafe {
                        core::arch::asm!(
                            $load,
                            out(reg) number,
                            in(reg) start,
                            options(readonly, nostack, preserves_flags),
                        );
                    }
                    return Some(number as $number);
                }
            }
            self.read(offset)
        }
    )*};
}

impl<P: Packet> Bytes for P {
    // Directly where the bytes are in the linear part, as nearly always; else through the
    // helper, since headers may lie in page fragments (GRO, XDP redirects).
    #[inline(always)]
    fn read<T: Plain>(&self, offset: u32) -> Option<T> {
        let start = self.start() + offset as usize;
        let end = if size_of::<T>() == 1 {
            behind(start)
        } else {
            start + size_of::<T>()
        };
        if end <= self.end() {
            // SAFETY: start..start+size lies in the packet, as just checked (and the verifier
            // insists on), and any bytes make a T.
            return Some(unsafe { (start as *const T).read_unaligned() });
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper writes size_of::<T>() bytes to memory of that size, or fails.
        let loaded = unsafe { self.load(offset, value.as_mut_ptr().cast(), size_of::<T>() as u32) };
        if !loaded {
            return None;
        }
        // SAFETY: the helper succeeded, so it wrote all bytes; any bytes make a T.
        Some(unsafe { value.assume_init() })
    }

    #[inline(always)]
    fn step_over(&self, at: u64) -> u64 {
        self.behind(at)
    }

    words! {
        half_word u16, "{0} = *(u16 *)({1} + 0)"
        word u32, "{0} = *(u32 *)({1} + 0)"
        double_word u64, "{0} = *(u64 *)({1} + 0)"
    }
}

/// One byte behind an address, which LLVM can't see. It would turn `start + 1 <= end` into
/// `start < end`, from which the verifier concludes nothing where `start` has a variable part.
#[inline(always)]
fn behind(start: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut end = start;
        // SAFETY: one arithmetic instruction on the block's own register.
        unsafe {
            core::arch::asm!("{0} += 1", inout(reg) end, options(pure, nomem, nostack));
        }
        end
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        start + 1
    }
}

/// Bounds `len` to 1..=`max` in a way that LLVM can't see through. It knows the bound to hold and
/// would drop an ordinary check; the verifier doesn't know, and refuses the helper call, or the
/// access to the packet, without one.
#[inline(always)]
pub fn clamp(len: u64, max: u64) -> u64 {
    #[cfg(target_arch = "bpf")]
    {
        let mut len = len;
        // SAFETY: arithmetic and forward jumps inside the block on its own registers only.
        unsafe {
            core::arch::asm!(
                "if {0} <= {1} goto +1",
                "{0} = {1}",
                "if {0} > 0 goto +1",
                "{0} = 1",
                inout(reg) len,
                in(reg) max,
                options(pure, nomem, nostack),
            );
        }
        len
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        len.clamp(1, max)
    }
}
