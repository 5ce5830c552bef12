//! The packets of the last moments.

use proptest::prelude::*;

use super::super::fingerprint::Fingerprint;
use super::super::live::{Hook, Live, Ring};
use super::{IN, MS, OUT};

const WINDOW: u64 = 50 * MS;

proptest! {
    #[test]
    fn those_are_found_that_look_alike_and_came_on_another_hook_a_moment_ago(
        // Long on one hook, then on another, as well as by turns.
        runs in prop::collection::vec((0..4u32, 1..6usize), 1..12),
        later in prop::collection::vec(prop_oneof![0..MS, 0..80 * MS], 80),
        // One can be late by more than anything is remembered, where its CPU was taken away.
        late in prop::collection::vec(prop_oneof![9 => Just(0), 1 => 0..3 * WINDOW], 80),
        kinds in prop::collection::vec(0..3u64, 80),
    ) {
        let mut ring = Ring::new(1024, 2 * WINDOW);
        let mut model: Vec<Live> = Vec::new();
        let mut now = 7 * WINDOW;
        let hooks = runs.iter().flat_map(|(hook, count)| std::iter::repeat_n(*hook, *count));
        for (((hook, later), late), kind) in hooks.zip(later).zip(late).zip(kinds) {
            now += later;
            let time = now - late;
            let hook = Hook::new(hook / 2, if hook % 2 == 0 { IN } else { OUT });
            let fingerprint = Fingerprint { core: kind << 40, sample: 1, telling: true };
            ring.turn_to(hook, time);
            let recent = |live: &Live| time.abs_diff(live.first) <= WINDOW;
            let found: Vec<u64> = if ring.can_know(hook, time, WINDOW) {
                let found = ring.look_alikes(fingerprint, hook);
                found.filter(|(_, live)| recent(live)).map(|(number, _)| number).collect()
            } else {
                Vec::new()
            };
            let expected: Vec<u64> = (1..)
                .zip(&model)
                .filter(|(_, live)| recent(live) && live.hooks[0] != hook)
                .filter(|(_, live)| live.fingerprint == fingerprint)
                .map(|(number, _)| number)
                .collect();
            prop_assert!(found.iter().rev().eq(&expected), "{found:?}, not {expected:?}");
            let live = Live::new(time, None, fingerprint, hook, 64);
            ring.push(live);
            model.push(live);
        }
    }
}
