//! Kernel memory: read at offsets that user space found in the kernel's own type information.
//!
//! Every address is taken for wrong until the helper has read it: it fails on one that isn't
//! mapped. It needs `CAP_PERFMON`, so whatever leads here must be switched off by a global
//! without it.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

use crate::offsets::{DEV_NET, NET_INUM, SKB_DEV, SKB_HEAD, SKB_NETWORK_HEADER, SKB_TAIL};
use crate::packet::{Bytes, Plain};
use crate::parse;

/// Reads `T` at an address.
#[inline(always)]
pub fn read<T: Plain>(address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes size_of::<T>() bytes to memory of that size, or fails.
    let failed = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        )
    };
    if failed != 0 {
        return None;
    }
    // SAFETY: the helper succeeded, so it wrote all bytes; any bytes make a T.
    Some(unsafe { value.assume_init() })
}

/// Reads as much as `value` takes to where it is.
#[inline(always)]
pub fn read_into<const N: usize>(address: u64, value: &mut [u8; N]) -> Option<()> {
    // SAFETY: the helper writes N bytes to memory of that size, or zeroes it and fails.
    let failed =
        unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), N as u32, address as *const _) };
    (failed == 0).then_some(())
}

/// The inode number of a `struct net`, or 0.
#[inline(always)]
pub fn inode_of(net: Option<u64>) -> u32 {
    match net {
        Some(net) if net != 0 => read(net + u64::from(NET_INUM.load())).unwrap_or(0),
        _ => 0,
    }
}

/// An skb that isn't the hook's own: its bytes from the network header on.
pub struct KernelPacket {
    address: u64,
    /// `skb->head`.
    pub head: u64,
    network: u64,
    /// Where the linear part ends.
    end: u64,
}

impl KernelPacket {
    /// Finds the packet's bytes.
    #[inline(always)]
    pub fn at(skb: u64) -> Option<Self> {
        let head = read::<u64>(skb + u64::from(SKB_HEAD.load()))?;
        let network = read::<u16>(skb + u64::from(SKB_NETWORK_HEADER.load()))?;
        let tail = read::<u32>(skb + u64::from(SKB_TAIL.load()))?;
        Some(Self {
            address: skb,
            head,
            network: head + u64::from(network),
            end: head + u64::from(tail),
        })
    }

    /// The inode number of the namespace of the device that it is on, or 0.
    #[inline(always)]
    pub fn netns(&self) -> u32 {
        match read::<u64>(self.address + u64::from(SKB_DEV.load())) {
            Some(device) if device != 0 => inode_of(read(device + u64::from(DEV_NET.load()))),
            _ => 0,
        }
    }

    /// The EtherType that fits the IP header's version, as the stack has already checked it.
    #[inline(always)]
    pub fn ethertype(&self) -> Option<u16> {
        match self.read::<u8>(0)? >> 4 {
            4 => Some(parse::ETHERTYPE_IPV4),
            6 => Some(parse::ETHERTYPE_IPV6),
            _ => None,
        }
    }
}

impl Bytes for KernelPacket {
    #[inline(always)]
    fn read<T: Plain>(&self, offset: u32) -> Option<T> {
        let start = self.network + u64::from(offset);
        if start + size_of::<T>() as u64 > self.end {
            return None;
        }
        read(start)
    }

    #[inline(always)]
    fn step_over(&self, at: u64) -> u64 {
        nodecap_behind_kernel(self.network, self.end, at)
    }
}

/// [`parse::step_over`], verified by itself: of the packet whose network header is at one address
/// and whose linear part ends at the other.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn nodecap_behind_kernel(network: u64, end: u64, extension: u64) -> u64 {
    let packet = KernelPacket {
        address: 0,
        head: 0,
        network,
        end,
    };
    parse::step_over(&packet, extension)
}
