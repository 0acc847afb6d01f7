//! Long calls in which nothing changes: one worker computes or blocks, and the others have nothing to do.

use super::caller::Act;
use super::dice::Weather;
use super::laws::{Laws, effort};
use super::program::{self, Code, Op};
use super::world::World;
use super::{MICROSECOND, MILLISECOND, Nanos, REST, SECOND, for_each_seed, run_to_rest, scenario};
use crate::governor::policy::Knobs;

/// Those who call: by an announced call into an owned pool or the global one, or by one that nobody announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Owned,
    Announced,
    Bare,
}

/// Threads are slow to wake, as beside a busy process, and a search takes as long as was seen there: more would pass
/// for a job, each time.
const SLOW: Weather = Weather { look: 4 * MICROSECOND, ..Weather::SLUGGISH };

const CALLS: [Call; 3] = [Call::Owned, Call::Announced, Call::Bare];

/// A world with one pool, which is called to run this.
fn called(call: Call, workers: usize, tokens: usize, weather: Weather, code: Code) -> World {
    let mut world = World::new(1, tokens, weather);
    // Looks for work are rarer in a lull than the other laws allow.
    world.laws = Laws::budget_alone(101);
    let process = world.process(false);
    let pool = world.pool(process, workers, call != Call::Owned);
    let announced = call != Call::Bare;
    world.caller(vec![Act::Install { pool, code, announced }], vec![pool]);
    world
}

/// How many rounds the governor of the only pool makes a second, and at how many of a hundred instants it has workers
/// beside one, once this code has run for so long.
fn rounds(mut world: World, after: Nanos) -> (u64, usize) {
    const SPAN: u64 = 5;
    world.run_until(after);
    let before = effort(&world.pools[0]).1;
    let mut wide = 0;
    for instant in 1..=100 {
        world.run_until(after + instant * SPAN * SECOND / 100);
        wide += usize::from(world.pools[0].policy.admitted() > 1);
    }
    assert!(world.callers[0].done.is_none(), "the call goes on");
    ((effort(&world.pools[0]).1 - before) / SPAN, wide)
}

/// Once each trial and each sweep passed for activity, and a governor woke 3,300 times a second throughout a call of
/// one long job that computed, and 4,000 times if it blocked (`latency -- busy`).
#[test]
fn the_governor_of_a_pool_in_which_nothing_changes_hardly_wakes() {
    let long = 60 * SECOND;
    let serial: Code = [Op::Compute(long)].into();
    let waited_for: Code =
        [Op::Join([Op::Compute(MILLISECOND)].into(), Code::clone(&serial))].into();
    let codes = [
        ("computes", serial, [25, 170, 170]),
        ("is waited for", waited_for, [35, 300, 300]),
        ("blocks", [Op::Block(long)].into(), [100; 3]),
        ("says that it blocks", [Op::Away(long)].into(), [100; 3]),
    ];
    for (what, code, most) in codes {
        for (call, most) in CALLS.into_iter().zip(most) {
            for (tokens, workers) in [(1, 2), (7, 2), (7, 3), (7, 16), (40, 64)] {
                for weather in [Weather::CALM, SLOW] {
                    let world = called(call, workers, tokens, weather, Code::clone(&code));
                    let (rounds, wide) = rounds(world, 30 * SECOND);
                    let case = format!("{call:?}, {tokens} tokens of {workers}, a job {what}");
                    assert!(rounds <= most, "{case}: {rounds} rounds a second");
                    assert!(wide <= 20, "{case}: idle workers have tokens {wide} times in 100");
                }
            }
        }
    }
}

#[test]
fn a_wide_phase_that_ends_a_lull_begins_late_by_a_small_part_of_it_at_most() {
    let Knobs { beat, look, .. } = Knobs::default();
    for serial in [20 * MILLISECOND, SECOND, 10 * SECOND, 40 * SECOND] {
        let wide = program::halves(16, &mut || 5 * MILLISECOND);
        let code: Code = [Op::Compute(serial)].iter().chain(wide.iter()).cloned().collect();
        for call in CALLS {
            let mut world = called(call, 16, 15, Weather::CALM, Code::clone(&code));
            world.run_until(serial + SECOND);
            let longest = if call == Call::Owned { 10 * beat.1 } else { beat.1 };
            let most = (serial / 40).min(longest) + look.1 + 2 * MILLISECOND;
            let late = (world.pools[0].done - serial).saturating_sub(5 * MILLISECOND);
            assert!(late <= most, "{call:?}: {late} ns late after {serial}, and {most} at most");
        }
    }
}

/// What is called beside it need not wait for the lull's end.
#[test]
fn a_call_ends_a_lull() {
    let mut world = called(Call::Owned, 4, 3, Weather::CALM, [Op::Compute(60 * SECOND)].into());
    world.run_until(30 * SECOND);
    let wait = Act::Pause(100 * MILLISECOND);
    let code = [Op::Compute(MICROSECOND)].into();
    world.caller(vec![wait, Act::Install { pool: 0, code, announced: true }], vec![0]);
    world.run_until(31 * SECOND);
    let done = world.callers[1].done.expect("it needs no more than a token, which lies there");
    let late = done - (30 * SECOND + 100 * MILLISECOND);
    let Knobs { backoff, .. } = Knobs::default();
    assert!(late <= backoff.1 + MILLISECOND, "{late} ns");
}

/// Nobody is idle who could begin a sweep. Once no trial of a lull came to those that were parked first.
#[test]
fn copies_of_a_broadcast_beside_a_long_job_are_run() {
    for (call, tokens, workers) in
        [(Call::Bare, 7, 16), (Call::Bare, 1, 16), (Call::Announced, 1, 16), (Call::Owned, 1, 4)]
    {
        let mut world =
            called(call, workers, tokens, Weather::CALM, [Op::Compute(60 * SECOND)].into());
        world.run_until(30 * SECOND);
        let copy = [Op::Compute(MICROSECOND)].into();
        let announced = call == Call::Owned;
        world.caller(vec![Act::Broadcast { pool: 0, code: copy, announced }], vec![0]);
        world.run_until(30 * SECOND + 200 * MILLISECOND);
        let waiting = world.pools[0].workers.iter().filter(|worker| !worker.mail.is_empty());
        assert_eq!(waiting.count(), 1, "{call:?}: of all but the busy one");
    }
}

#[test]
fn programs_with_long_jobs_finish_within_their_budget() {
    // It may take as long as the longest pause to find out that a worker which was seen to block does no more, and as
    // long again that it is idle.
    let rest = REST + 2 * 125 * MILLISECOND;
    for_each_seed(500, |seed| {
        run_to_rest(scenario::lulled(seed), rest);
    });
}
