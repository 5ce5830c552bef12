//! A packet's identity without the kernel address that it is.
//!
//! The kernel side tells packets by where their skb lies, and can't calculate with that address:
//! the verifier allows it to be stored and compared only. So it is keyed as it is read, by
//! numbers that this process drew for this capture: the same for one skb wherever it is told of,
//! of no use to anybody who would learn where the kernel keeps things.

use std::hash::{BuildHasher as _, RandomState};

/// A capture's key.
#[derive(Clone, Copy)]
pub(super) struct IdentityKey {
    added: u64,
    /// Odd, so that multiplying by it maps no two numbers to one.
    factors: [u64; 2],
}

impl IdentityKey {
    /// One that nobody else has: the standard library draws from the operating system.
    pub(super) fn draw() -> Self {
        let random = RandomState::new();
        Self {
            added: random.hash_one(0),
            factors: [random.hash_one(1) | 1, random.hash_one(2) | 1],
        }
    }

    /// An address under this key. 0 stands for no identity, and stays.
    #[inline]
    pub(super) fn apply(&self, address: u64) -> u64 {
        if address == 0 {
            return 0;
        }
        let [first, second] = self.factors;
        // Steps that can each be undone, so that different addresses stay different.
        let mixed = (address ^ self.added).wrapping_mul(first);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(second);
        mixed ^ (mixed >> 29)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Where skbs lie: side by side, 256 bytes apart.
    fn addresses() -> impl Iterator<Item = u64> {
        (1..10_000).map(|slot| 0xffff_8881_0000_0000 + slot * 256)
    }

    #[test]
    fn different_addresses_stay_different_and_none_stays_none() {
        let key = IdentityKey::draw();
        let keyed: HashSet<_> = addresses().map(|address| key.apply(address)).collect();
        assert_eq!(keyed.len(), addresses().count());
        assert_eq!(key.apply(0), 0);
    }

    #[test]
    fn one_address_is_the_same_under_one_key_and_not_under_another() {
        let (one, other) = (IdentityKey::draw(), IdentityKey::draw());
        assert!(addresses().all(|address| one.apply(address) == one.apply(address)));
        assert!(addresses().any(|address| one.apply(address) != other.apply(address)));
    }

    #[test]
    fn nothing_of_an_address_is_left_to_see() {
        let key = IdentityKey::draw();
        // All of them begin with the same 32 bits; keyed, hardly any two do.
        let starts: HashSet<_> = addresses()
            .map(|address| key.apply(address) >> 32)
            .collect();
        assert!(starts.len() > addresses().count() / 2);
    }
}
