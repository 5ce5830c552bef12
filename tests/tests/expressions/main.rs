//! Filter expressions in the kernel: the same answer for each packet as libpcap's own interpreter.
//!
//! - [`corpus`]: [`list`]ed expressions by the lab's packets
//! - [`grammar`]: random expressions by packets that are nearly what they ask for
//! - [`programs`]: expressions in nodecap's own programs
//! - [`random`]: programs and packets that nobody would write
//! - [`accepted`]: the listed expressions by the verifier, quickly
//! - [`alone`]: an expression's code as a program of its own, in all its forms
//!
//! What tcpdump captures at the same interface is compared in `expressions_live.rs`.

#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

mod accepted;
mod alone;
mod corpus;
mod grammar;
mod list;
mod programs;
mod random;
