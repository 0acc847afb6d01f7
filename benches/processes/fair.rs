//! What sharing the tokens evenly at every instant would take, if it cost nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::phases::Phases;

/// Where a process stands.
struct State {
    phases: Phases,
    /// Rounds that have not ended.
    rounds: u32,
    /// Leaves of this round's wide phase that nobody has begun.
    leaves: u32,
    running: usize,
    serial: bool,
}

/// When the last process ends, if a slot that is free goes to whoever has fewest jobs at work. Each has its
/// own slot; nobody knows what is to come, and a job that has begun is never stopped.
pub(crate) fn end(all: impl Iterator<Item = Phases>, tokens: usize) -> Duration {
    let begun = |phases: Phases| State {
        phases,
        rounds: phases.rounds,
        leaves: 0,
        running: 1,
        serial: true,
    };
    let mut states: Vec<State> = all.map(begun).collect();
    let first = states.iter().enumerate().map(|(number, state)| (state.phases.serial, number));
    let mut ends: BinaryHeap<_> = first.map(Reverse).collect();
    let mut last = Duration::ZERO;
    while let Some(Reverse((now, number))) = ends.pop() {
        last = now;
        let state = &mut states[number];
        state.running -= 1;
        if std::mem::take(&mut state.serial) {
            state.leaves = state.phases.leaves;
        } else if state.leaves == 0 && state.running == 0 {
            state.rounds -= 1;
            if state.rounds > 0 {
                state.serial = true;
                state.running = 1;
                ends.push(Reverse((now + state.phases.serial, number)));
            }
        }
        if ends.peek().is_some_and(|&Reverse((next, _))| next == now) {
            continue;
        }
        while let Some(number) = next(&states, tokens) {
            let state = &mut states[number];
            state.leaves -= 1;
            state.running += 1;
            ends.push(Reverse((now + state.phases.time, number)));
        }
    }
    last
}

/// The process that the next slot goes to.
fn next(states: &[State], tokens: usize) -> Option<usize> {
    let used: usize = states.iter().map(|state| state.running.saturating_sub(1)).sum();
    let may = |state: &State| {
        let token = state.running <= tokens && used < tokens;
        state.leaves > 0 && (state.running == 0 || token)
    };
    let candidates = states.iter().enumerate().filter(|(_, state)| may(state));
    candidates.min_by_key(|(_, state)| state.running).map(|(number, _)| number)
}
