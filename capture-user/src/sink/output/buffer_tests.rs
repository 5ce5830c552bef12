#![expect(clippy::unwrap_used, reason = "a test that meets one has failed")]

use proptest::prelude::*;
use rustix::io::Errno;

use super::{buffer::*, error::OutputError, fake::Fake};

/// Units of ten bytes.
fn tens(bytes: &[u8]) -> usize {
    bytes.len() / 10 * 10
}

fn output(fake: &Fake) -> Output<Fake> {
    Output::new("x.pcapng", fake.clone(), tens)
}

fn unit(n: u8) -> [u8; 10] {
    [n; 10]
}

#[test]
fn units_wait_until_they_are_flushed() {
    let fake = Fake::disk(100);
    let mut output = output(&fake);
    output.append(|out| out.extend(unit(1))).unwrap();
    assert_eq!((output.len(), fake.bytes().len()), (10, 0));
    output.flush().unwrap();
    assert_eq!((output.len(), fake.bytes()), (10, unit(1).to_vec()));
}

#[test]
fn a_full_buffer_is_written_by_itself() {
    let fake = Fake::disk(usize::MAX);
    let mut output = output(&fake);
    output.append(|out| out.resize(FLUSH_AT - 6, 7)).unwrap();
    assert_eq!(fake.bytes().len(), 0);
    output.append(|out| out.extend(unit(1))).unwrap();
    assert_eq!(fake.bytes().len(), FLUSH_AT + 4);
}

#[test]
fn what_waits_is_written_on_drop() {
    let fake = Fake::disk(100);
    let mut output = output(&fake);
    output.append(|out| out.extend(unit(1))).unwrap();
    drop(output);
    assert_eq!(fake.bytes(), unit(1));
}

#[test]
fn a_full_disk_keeps_the_whole_units_and_hands_back_the_others() {
    let fake = Fake::disk(25);
    let mut output = output(&fake);
    for n in 1..=4 {
        output.append(|out| out.extend(unit(n))).unwrap();
    }
    let full = OutputError::Full {
        name: "x.pcapng".into(),
    };
    assert_eq!(output.flush(), Err(full.clone()));
    assert_eq!(fake.bytes(), [unit(1), unit(2)].concat());
    assert_eq!(output.len(), 20);
    assert_eq!(output.take_lost(), [unit(3), unit(4)].concat());
    assert_eq!(
        output.append(|_| panic!("nothing may be added")),
        Err(full.clone())
    );
    assert_eq!(output.failure(), Some(&full));
}

#[test]
fn the_end_goes_into_the_room_that_half_a_unit_took() {
    let fake = Fake::disk(25);
    let mut output = output(&fake);
    output
        .append(|out| out.extend([unit(1), unit(2), unit(3)].concat()))
        .unwrap();
    output.flush().unwrap_err();
    output.close_with(b"end").unwrap();
    assert_eq!(fake.bytes(), [&unit(1)[..], &unit(2), b"end"].concat());
    assert_eq!(output.len(), 23);
}

#[test]
fn an_end_that_does_not_fit_is_left_out_altogether() {
    let fake = Fake::disk(22);
    let mut output = output(&fake);
    output
        .append(|out| out.extend([unit(1), unit(2)].concat()))
        .unwrap();
    let error = output.close_with(b"end").unwrap_err();
    assert_eq!(
        error,
        OutputError::Full {
            name: "x.pcapng".into()
        }
    );
    assert_eq!(fake.bytes(), [unit(1), unit(2)].concat());
    assert_eq!(output.len(), 20);
    assert!(output.take_lost().is_empty());
}

#[test]
fn a_pipe_whose_reader_left_gets_no_end() {
    let fake = Fake::pipe(15);
    let mut output = output(&fake);
    output
        .append(|out| out.extend([unit(1), unit(2)].concat()))
        .unwrap();
    assert!(output.flush().unwrap_err().is_closed());
    assert!(output.close_with(b"end").unwrap_err().is_closed());
    assert_eq!(fake.bytes().len(), 15);
    assert_eq!(output.take_lost(), unit(2));
}

#[test]
fn half_a_unit_that_can_not_be_taken_back_is_not_built_upon() {
    let fake = Fake::pipe(15).failing_with(Errno::IO);
    let mut output = output(&fake);
    output
        .append(|out| out.extend([unit(1), unit(2)].concat()))
        .unwrap();
    let error = output.flush().unwrap_err();
    assert_eq!(output.close_with(b"").unwrap_err(), error);
    assert_eq!(output.len(), 15);
}

proptest! {
    #[test]
    fn short_and_interrupted_writes_change_nothing(
        units in proptest::collection::vec(any::<u8>(), 1..40),
        at_once in 1usize..30,
        flush_every in 1usize..10,
    ) {
        let fake = Fake::disk(usize::MAX).in_pieces_of(at_once);
        let mut output = output(&fake);
        for (i, n) in units.iter().enumerate() {
            output.append(|out| out.extend(unit(*n))).unwrap();
            if i % flush_every == 0 {
                output.flush().unwrap();
            }
        }
        output.close_with(b"end").unwrap();
        let mut expected: Vec<u8> = units.iter().flat_map(|n| unit(*n)).collect();
        expected.extend(b"end");
        prop_assert_eq!(fake.bytes(), expected);
    }

    #[test]
    fn wherever_it_gets_full_every_unit_is_either_kept_or_handed_back(
        room in 0usize..500,
        at_once in 1usize..60,
        flush_every in 1usize..10,
    ) {
        let fake = Fake::disk(room).in_pieces_of(at_once);
        let mut output = output(&fake);
        let mut given = Vec::new();
        let mut failed = false;
        for n in 0..40 {
            given.extend(unit(n));
            output.append(|out| out.extend(unit(n))).unwrap();
            if usize::from(n) % flush_every == 0 && output.flush().is_err() {
                failed = true;
                break;
            }
        }
        prop_assert_eq!(output.flush().is_err(), failed || room < given.len());
        let kept = fake.bytes();
        prop_assert_eq!(kept.len() % 10, 0);
        prop_assert_eq!(kept.len() as u64, output.len());
        prop_assert!(kept.len() == given.len() || kept.len() + 10 > room);
        prop_assert_eq!([kept, output.take_lost()].concat(), given);
    }
}
