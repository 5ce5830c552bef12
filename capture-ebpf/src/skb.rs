//! Reading an skb: its bytes and its metadata.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_load_bytes;

/// The packet under a TC hook.
#[derive(Clone, Copy)]
pub struct Skb(*mut __sk_buff);

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

impl Skb {
    /// Takes the context that the kernel passed to the program.
    #[inline(always)]
    pub fn new(context: *mut __sk_buff) -> Self {
        Self(context)
    }

    /// The context itself.
    #[inline(always)]
    pub fn context(&self) -> *mut __sk_buff {
        self.0
    }

    #[inline(always)]
    fn field(&self) -> &__sk_buff {
        // SAFETY: the kernel passes a valid context for as long as the program runs; the
        // verifier rewrites each access to a field.
        unsafe { &*self.0 }
    }

    /// Bytes in the whole packet, fragments and GSO segments included.
    #[inline(always)]
    pub fn len(&self) -> u32 {
        self.field().len
    }

    /// The index of the interface that this hook is on.
    #[inline(always)]
    pub fn interface(&self) -> u32 {
        self.field().ifindex
    }

    /// `skb->protocol`: the EtherType behind the link header and an offloaded tag.
    #[inline(always)]
    pub fn protocol(&self) -> u16 {
        u16::from_be(self.field().protocol as u16)
    }

    /// The offloaded VLAN tag: protocol and TCI.
    #[inline(always)]
    pub fn vlan(&self) -> Option<(u16, u16)> {
        let skb = self.field();
        if skb.vlan_present == 0 {
            return None;
        }
        Some((u16::from_be(skb.vlan_proto as u16), skb.vlan_tci as u16))
    }

    /// `gso_size` and `gso_segs`.
    #[inline(always)]
    pub fn gso(&self) -> (u32, u32) {
        (self.field().gso_size, self.field().gso_segs)
    }

    /// `pkt_type`.
    #[inline(always)]
    pub fn packet_type(&self) -> u32 {
        self.field().pkt_type
    }

    /// Where the skb lies in kernel memory, as a number that the verifier still knows to be a
    /// pointer: it may be stored and compared, which takes `CAP_PERFMON`, not calculated with.
    #[inline(always)]
    pub fn address(&self) -> u64 {
        self.0 as u64
    }

    /// Copies the packet's first `len` bytes to `to`.
    ///
    /// # Safety
    ///
    /// `to` points to at least `room` writable bytes.
    #[inline(always)]
    pub unsafe fn copy_start(&self, to: *mut u8, len: u32, room: u32) -> bool {
        let len = clamp(u64::from(len), u64::from(room));
        // SAFETY: the clamp holds 1 <= len <= room, and the caller vouches for room.
        unsafe { bpf_skb_load_bytes(self.0.cast(), 0, to.cast(), len as u32) == 0 }
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
                let start = self.field().data as usize + offset as usize;
                if start + size_of::<$number>() <= self.field().data_end as usize {
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

impl Bytes for Skb {
    // Directly where the bytes are in the linear part, as nearly always; else through the
    // helper, since headers may lie in page fragments (GRO, XDP redirects).
    #[inline(always)]
    fn read<T: Plain>(&self, offset: u32) -> Option<T> {
        let start = self.field().data as usize + offset as usize;
        if start + size_of::<T>() <= self.field().data_end as usize {
            // SAFETY: start..start+size lies in the packet, as just checked (and the verifier
            // insists on), and any bytes make a T.
            return Some(unsafe { (start as *const T).read_unaligned() });
        }
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the helper writes size_of::<T>() bytes to memory of that size, or fails.
        let failed = unsafe {
            bpf_skb_load_bytes(
                self.0.cast(),
                offset,
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
            )
        };
        if failed != 0 {
            return None;
        }
        // SAFETY: the helper succeeded, so it wrote all bytes; any bytes make a T.
        Some(unsafe { value.assume_init() })
    }

    words! {
        half_word u16, "{0} = *(u16 *)({1} + 0)"
        word u32, "{0} = *(u32 *)({1} + 0)"
        double_word u64, "{0} = *(u64 *)({1} + 0)"
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
