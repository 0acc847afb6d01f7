//! Big worlds: many workers in a pool, many processes on a jobserver.

use super::caller::Act;
use super::dice::{Dice, Weather};
use super::laws::{Laws, effort};
use super::program::{self, Code, Op, Taste};
use super::scenario::Scenario;
use super::world::World;
use super::{MICROSECOND, MILLISECOND, SECOND, run};
use crate::governor::policy::Knobs;

#[test]
fn a_pool_of_1024_workers_spreads_over_its_tokens() {
    let mut world = World::new(1, 300, Weather::CALM);
    world.laws = Laws::budget_alone(257);
    let process = world.process(false);
    let pool = world.pool(process, 1_024, false);
    let code = program::halves(4_096, &mut || MILLISECOND);
    let work = program::duration(&code, 1_024);
    let copy = [Op::Compute(10 * MICROSECOND)].into();
    let broadcast = Act::Broadcast { pool, code: copy, announced: true };
    let install = Act::Install { pool, code, announced: true };
    world.caller(vec![install.clone(), broadcast, install], vec![pool]);
    let world = run(Scenario { world, work: 2 * work });
    let pool = &world.pools[pool];
    assert_eq!(pool.policy.tally().peak, 301, "every token and the own slot");
    assert!(pool.done < 100 * MILLISECOND, "took {}", pool.done);
}

/// So many processes, each with a pool that is called twice, on 16 tokens. Returns how many probes
/// and rounds of its governor each has cost, on average.
fn effort_among(processes: usize) -> u64 {
    let mut world = World::new(2, 16, Weather::CALM);
    world.laws = Laws::budget_alone(10_007);
    let mut dice = Dice::new(3);
    let mut work = 0;
    for _ in 0..processes {
        let process = world.process(false);
        let pool = world.pool(process, 4, dice.percent(20));
        let announced = !world.pools[pool].anchored || dice.percent(50);
        let taste = Taste {
            pools: &[],
            open: &[],
            longest: MILLISECOND,
            broadcasts: true,
            spawns: true,
            locks: None,
        };
        let acts = (0..2).flat_map(|_| {
            let pause = Act::Pause(dice.between(0, 30 * MILLISECOND));
            let code = program::write(&mut dice, taste, 12);
            work += program::duration(&code, 4);
            [pause, Act::Install { pool, code, announced }]
        });
        let acts = acts.collect();
        world.caller(acts, vec![pool]);
    }
    let world = run(Scenario { world, work });
    let efforts = world.pools.iter().map(effort);
    efforts.map(|(probes, rounds)| probes + rounds).sum::<u64>() / processes as u64
}

#[test]
fn a_thousand_processes_share_a_jobserver_at_no_more_effort_each() {
    let [few, many] = [10, 1_000].map(effort_among);
    println!("steps of a governor, of a process among 10: {few}, among 1,000: {many}");
    assert!(many <= 2 * few, "{few} steps a process among 10, {many} among 1,000");
}

/// Calls without a pause long enough for a sweep must not keep a parked worker from its part of
/// a broadcast that nobody announced.
#[test]
fn a_bare_broadcast_is_done_beside_a_stream_of_calls() {
    for (anchored, tokens) in [(true, 0), (true, 2), (true, 8), (false, 0), (false, 2)] {
        let mut world = World::new(4, tokens, Weather::CALM);
        world.laws = Laws::all(Weather::CALM, Knobs::default());
        let process = world.process(false);
        let pool = world.pool(process, 4, anchored);
        let copy = [Op::Compute(20 * MICROSECOND)].into();
        let code = [Op::Broadcast(copy)].into();
        let wait = Act::Pause(10 * MILLISECOND);
        let broadcast = Act::Install { pool, code, announced: !anchored };
        world.caller(vec![wait, broadcast], vec![pool]);
        let code: Code = [Op::Compute(20 * MICROSECOND)].into();
        let calls = (0..4_000).flat_map(|_| {
            let call = Act::Install { pool, code: Code::clone(&code), announced: true };
            [call, Act::Pause(200 * MICROSECOND)]
        });
        world.caller(calls.collect(), vec![pool]);
        let world = run(Scenario { world, work: 2 * SECOND });
        let done = world.callers[0].done.expect("everything is done");
        assert!(
            done < 130 * MILLISECOND,
            "with {tokens} tokens, anchored {anchored}: took until {done}"
        );
    }
}

/// Each copy waits for a broadcast of its own, and so for all that have not yet had their turns. Once the looks of
/// those who wait took up all the time there is, and some of 64 workers never had one.
#[test]
fn copies_of_a_broadcast_that_wait_for_each_other_get_their_turns_in_a_wide_pool() {
    for (anchored, weather) in
        [(false, Weather::CALM), (false, Weather::SLUGGISH), (true, Weather::SLUGGISH)]
    {
        let mut world = World::new(5, 0, weather);
        world.laws = Laws::all(weather, Knobs::default());
        let process = world.process(false);
        let pool = world.pool(process, 64, anchored);
        let copy = [Op::Compute(MICROSECOND)].into();
        let code = [Op::Broadcast(copy)].into();
        world.caller(vec![Act::Broadcast { pool, code, announced: !anchored }], vec![pool]);
        let world = run(Scenario { world, work: SECOND });
        let done = world.callers[0].done.expect("everything is done");
        assert!(done < 200 * MILLISECOND, "took until {done}");
    }
}
