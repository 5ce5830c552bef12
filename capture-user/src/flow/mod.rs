//! The core without I/O: sightings of packets and evidence in, annotations and flow records out.
//!
//! No clock, no socket, no type of the kernel boundary: time is an argument. So it runs alike
//! live, over a saved file, in property tests and under a fuzzer.
//!
//! A packet is *sighted* once on each hook that it passes. Sightings of one packet are put
//! together, packets make flows, and a flow knows which address became which on the way. When a
//! connection is reset, [`reset`] says by whom and why, as far as the evidence goes.
//!
//! - [`tracker`]: the whole of it, wired together; start there
//! - `parse`, `fingerprint`: what a frame says; `live`: the packets of the last moments, by which
//!   sightings of one packet find each other
//! - `table`, `bindings`, `connection`: the flows, bounded, found by any of their tuples
//! - `tcp`: a connection as a bystander sees it; `path`, `delays`: where packets pass, how fast
//! - [`nat`]: translations; `mappings`, `recent`: what conntrack and the kernel told lately
//! - [`record`], `json`, `comment`, [`summary`]: what is told of it all; [`names`]: by which names;
//!   [`happening`]: what somebody waits for
//! - [`mod@tuple`]: addresses and ports; [`tunnel`]: what they are within; [`sighting`]: a packet on
//!   a hook; [`evidence`]: what else is known; [`interfaces`], [`role`]: what they stand for
//! - [`reset`]: the verdict on a reset, a pure function of a [`reset::Case`]

mod bindings;
mod comment;
mod connection;
mod delays;
pub mod evidence;
mod fingerprint;
pub mod happening;
pub mod interfaces;
mod json;
mod live;
mod mappings;
pub mod names;
pub mod nat;
mod parse;
mod path;
mod pending;
mod recent;
pub mod record;
pub mod reset;
pub mod role;
pub mod sighting;
pub mod summary;
mod table;
mod tcp;
#[cfg(test)]
mod tests;
pub mod tracker;
pub mod tunnel;
pub mod tuple;
