//! From an event to the packets that it asks for.

use super::ring::{NOWHERE, state};
use super::window::{Reach, Window};
use super::{Event, Order, Recorder, SLACK};

impl Recorder {
    /// Takes the events whose time has come.
    pub(super) fn apply(&mut self) {
        while let Some(event) = self.events.pop_front_if(|event| event.time <= self.now) {
            self.happened(event);
        }
    }

    fn happened(&mut self, event: Event) {
        self.counts.events += 1;
        let fresh = self.fresh(event.flow);
        let known = *self.flows.entry(event.flow).or_insert(fresh);
        let (asked, complete) = self.mark(&event, &known);
        self.counts.cut += u64::from(!complete);
        let Some(window) = self.flows.get_mut(&event.flow) else {
            return;
        };
        window.extend(&asked);
        if !window.open {
            window.open = true;
            let until = window.until;
            self.open(event.flow, until);
        }
    }

    /// Notes that a flow's window was opened.
    fn open(&mut self, flow: u64, until: u64) {
        self.open.push_back((until.max(self.now), flow));
        self.open_flows += 1;
        while self.open_flows > self.max_flows / 2 {
            self.counts.closed_early += 1;
            self.close_oldest();
        }
        if self.open.len() > self.max_flows * 2 {
            let flows = &self.flows;
            self.open
                .retain(|(_, flow)| flows.get(flow).is_some_and(|window| window.open));
        }
    }

    /// Marks what is in memory of a flow and an event asks for. Says what that is, and whether
    /// nothing of it can have had to go before.
    fn mark(&mut self, event: &Event, known: &Window) -> (Window, bool) {
        let mut asked = Window {
            event: event.time,
            packet: event.packet,
            from: event.time,
            until: event.time,
            ..Window::new(0)
        };
        let mut before = 0;
        if let Some(reach) = self.config.before.nanoseconds() {
            asked.from = event.time.saturating_sub(reach);
        }
        if let Some(reach) = self.config.after.nanoseconds() {
            asked.until = event.time.saturating_add(reach);
        }
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        // Those behind the event, the newest first: they may be too many.
        let mut later = Vec::new();
        let mut at = known.newest;
        while let Some(head) = self.ring.get(at) {
            let place = std::mem::replace(&mut at, head.older);
            if head.packet == event.packet && event.packet != 0 {
                places.push(place);
                continue;
            }
            if head.stamp > event.time {
                match self.config.after {
                    Reach::Time(_) if head.stamp <= asked.until => places.push(place),
                    Reach::Time(_) => {}
                    Reach::Packets(_) => later.push(place),
                }
                continue;
            }
            // All from here on was marked for an earlier event.
            if head.state != state::HELD
                && !known.is_of_the_event(head.packet)
                && self.covers(known, head.stamp, asked.from)
            {
                before = u64::MAX;
                break;
            }
            match self.config.before {
                Reach::Time(_) if head.stamp < asked.from => break,
                Reach::Packets(most) if head.stamp < event.time => {
                    if before == most {
                        break;
                    }
                    before += 1;
                    asked.from = head.stamp;
                }
                Reach::Time(_) | Reach::Packets(_) => {}
            }
            places.push(place);
        }
        if let Reach::Packets(most) = self.config.after {
            let first = later.iter().rev().copied();
            places.extend(first.take(usize::try_from(most).unwrap_or(usize::MAX)));
            asked.left = most.saturating_sub(later.len() as u64);
        }
        let complete = match self.config.before {
            Reach::Time(_) => known.cut < asked.from || known.cut == 0,
            Reach::Packets(most) => (before >= most && known.cut < event.time) || known.cut == 0,
        };
        places.sort_unstable();
        self.want(&places);
        self.places = places;
        (asked, complete)
    }

    /// Whether everything of a flow from `from`, or as many packets as are asked for, up to a
    /// marked one that was seen at `stamp` must have been marked with it.
    fn covers(&self, known: &Window, stamp: u64, from: u64) -> bool {
        known.event != 0
            && match self.config.before {
                Reach::Time(_) => known.from <= from && stamp <= known.until,
                Reach::Packets(_) => stamp >= known.event,
            }
    }

    /// Marks packets, which come in the order of time.
    fn want(&mut self, places: &[u64]) {
        for place in places {
            if let Some(mut head) = self.ring.get(*place)
                && head.state == state::HELD
            {
                head.state = state::WANTED;
                self.ring.set(*place, &head);
                if self.config.order == Order::AtOnce {
                    self.out.push_back(*place);
                }
            }
        }
    }

    /// Closes the windows whose time is over, a moment later: the packet that it happened to may be
    /// seen elsewhere yet.
    pub(super) fn close_windows(&mut self) {
        while !self.ending
            && let Some((until, flow)) = self.open.front().copied()
            && until.saturating_add(SLACK) < self.now
        {
            let window = self.flows.get(&flow).filter(|window| window.open);
            match window {
                None => drop(self.open.pop_front()),
                // It has been extended, or waits for packets however long that takes.
                Some(window)
                    if window.left > 0 || window.until.saturating_add(SLACK) >= self.now =>
                {
                    let until = window.until.max(self.now);
                    self.open.pop_front();
                    self.open.push_back((until, flow));
                }
                Some(_) => self.close_oldest(),
            }
        }
    }

    /// Stops waiting for the packets of the flow that has waited for longest.
    fn close_oldest(&mut self) {
        let Some((_, flow)) = self.open.pop_front() else {
            self.open_flows = 0;
            return;
        };
        if let Some(window) = self.flows.get_mut(&flow)
            && window.open
        {
            window.open = false;
            window.left = 0;
            window.until = window.until.min(self.now);
            self.open_flows = self.open_flows.saturating_sub(1);
            if window.newest == NOWHERE {
                self.flows.remove(&flow);
            }
        }
    }

    /// Two flows turned out to be one, which goes on as `kept`.
    pub fn join(&mut self, gone: u64, kept: u64) {
        for event in &mut self.events {
            if event.flow == gone {
                event.flow = kept;
            }
        }
        let Some(lost) = self.flows.remove(&gone) else {
            return;
        };
        if lost.open {
            self.open_flows = self.open_flows.saturating_sub(1);
        }
        let fresh = self.fresh(kept);
        let mut window = *self.flows.entry(kept).or_insert(fresh);
        let mut places = std::mem::take(&mut self.places);
        places.clear();
        for newest in [lost.newest, window.newest] {
            let mut at = newest;
            while let Some(head) = self.ring.get(at) {
                places.push(at);
                at = head.older;
            }
        }
        places.sort_unstable();
        let mut older = NOWHERE;
        for place in &places {
            if let Some(mut head) = self.ring.get(*place) {
                head.older = older;
                head.flow = kept;
                self.ring.set(*place, &head);
                older = *place;
            }
        }
        window.newest = older;
        window.cut = window.cut.max(lost.cut);
        // What either's event asked for is asked for of both.
        let windows = [lost, window];
        places.retain(|place| {
            self.ring.get(*place).is_some_and(|head| {
                windows
                    .iter()
                    .any(|it| (it.from..=it.until).contains(&head.stamp))
            })
        });
        self.want(&places);
        self.places = places;
        if lost.event != 0 {
            window.extend(&lost);
        }
        let opens = lost.open && !window.open;
        window.open |= lost.open;
        if window.newest == NOWHERE && !window.open {
            self.flows.remove(&kept);
            return;
        }
        self.flows.insert(kept, window);
        if opens {
            self.open(kept, window.until);
        }
    }
}
