//! Loops of short calls, as of a program that divides each of its steps, and what follows them.

use super::caller::Act;
use super::dice::{Dice, Weather};
use super::laws::{Laws, effort};
use super::program::{self, Code, Op};
use super::scenario::Scenario;
use super::world::World;
use super::{MICROSECOND, MILLISECOND, Nanos, SECOND, for_each_seed, run};
use crate::governor::policy::Knobs;

/// So many calls, each of so many leaves, and what lies between two.
#[derive(Clone, Copy, Debug)]
struct Loop {
    calls: u64,
    leaves: usize,
    leaf: Nanos,
    gap: Nanos,
}

impl Loop {
    fn random(dice: &mut Dice, workers: usize) -> Self {
        let leaf = dice.pick(&[2, 8, 8, 50, 300, 1_000]) * MICROSECOND;
        // In worlds of calls that take long there are fewer of them.
        let most = (50 * MILLISECOND / leaf).clamp(20, 400);
        Loop {
            calls: dice.between(3, most),
            leaves: 1 + dice.below(2 * workers),
            leaf,
            gap: dice.pick(&[0, 5, 50, 400, 600]) * MICROSECOND,
        }
    }

    /// What a caller does, and how long that takes on one worker.
    fn acts(self, dice: &mut Dice, call: Call) -> (Vec<Act>, Nanos) {
        let mut acts = Vec::new();
        let mut work = 0;
        for _ in 0..self.calls {
            let code = program::halves(self.leaves, &mut || dice.between(self.leaf / 2, self.leaf));
            work += program::duration(&code, 1) + self.gap + MILLISECOND;
            acts.push(call.install(code));
            acts.push(Act::Pause(self.gap));
        }
        (acts, work)
    }
}

/// Whom is called, and whether anybody says so.
#[derive(Clone, Copy, Debug)]
struct Call {
    pool: usize,
    announced: bool,
}

impl Call {
    fn install(self, code: Code) -> Act {
        Act::Install { pool: self.pool, code, announced: self.announced }
    }

    /// What comes between two loops: a pause, or a call that is none of a loop.
    fn other(self, dice: &mut Dice, workers: usize) -> (Act, Nanos) {
        let time = dice.pick(&[1, 5, 30]) * MILLISECOND;
        let code: Code = match dice.below(4) {
            0 => return (Act::Pause(dice.pick(&[0, 2, 30, 120]) * MILLISECOND), 120 * MILLISECOND),
            1 => [Op::Compute(time)].into(),
            2 => program::halves(1 + dice.below(2 * workers), &mut || time),
            _ => {
                let wide = program::halves(2 * workers, &mut || MILLISECOND);
                [Op::Compute(time)].iter().chain(wide.iter()).cloned().collect()
            }
        };
        let work = program::duration(&code, 1) + MILLISECOND;
        (self.install(code), work)
    }
}

/// One to three processes that make loops of calls, and often somebody who wants tokens meanwhile.
fn random(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed);
    let weather = Weather::random(&mut dice);
    let tokens = dice.pick(&[1, 2, 3, 7]);
    let mut world = World::new(dice.next(), tokens, weather);
    world.tells = dice.percent(90);
    world.timers = world.tells || dice.percent(50);
    world.laws = Laws::all(weather, Knobs::default());
    let mut work = 0;
    for _ in 0..dice.pick(&[1, 1, 2, 3]) {
        let process = world.process(false);
        let workers = dice.pick(&[2, 2, tokens + 1, 2 * tokens + 2]);
        let pool = world.pool(process, workers, dice.percent(30));
        let announced = !world.pools[pool].anchored || dice.percent(50);
        let call = Call { pool, announced };
        let mut acts = Vec::new();
        for _ in 0..dice.between(1, 4) {
            let (calls, takes) = Loop::random(&mut dice, workers).acts(&mut dice, call);
            let (other, lasts) = call.other(&mut dice, workers);
            acts.extend(calls);
            acts.push(other);
            work += takes + lasts;
        }
        world.caller(acts, vec![pool]);
    }
    if dice.percent(50) {
        let rounds = 1 + dice.below(10);
        let pause = dice.pick(&[1, 5, 40]) * MILLISECOND;
        let keep = dice.between(100 * MICROSECOND, 10 * MILLISECOND);
        work += world.stranger(rounds, pause, keep);
    }
    Scenario { world, work }
}

#[test]
fn programs_that_call_in_loops_finish_within_their_budget_and_come_to_rest() {
    for_each_seed(300, |seed| {
        run(random(seed));
    });
}

/// Workers of such a loop hardly fall asleep between two calls.
const AWAKE: Weather = Weather { wake: (200, MICROSECOND), ..Weather::CALM };

/// A world with one pool, which is called in such a loop and then to run something else.
fn looped(workers: usize, tokens: usize, calls: Loop, then: Option<Code>) -> World {
    let mut dice = Dice::new(1);
    let mut world = World::new(1, tokens, AWAKE);
    world.laws = Laws::budget_alone(101);
    let process = world.process(false);
    let pool = world.pool(process, workers, false);
    let call = Call { pool, announced: true };
    let (mut acts, _) = calls.acts(&mut dice, call);
    acts.extend(then.map(|code| call.install(code)));
    world.caller(acts, vec![pool]);
    world
}

/// Each wake-up makes the workers of such a loop fall out of step with their caller (`compare -- section`). With many
/// workers of little use, and tokens lying there, it is looked every half a millisecond whether more are.
#[test]
fn the_governor_of_a_loop_of_short_calls_hardly_wakes() {
    let leaf = 8 * MICROSECOND;
    for (workers, tokens, most) in [(2, 1, 60), (2, 7, 15), (16, 1, 150)] {
        let leaves = workers.min(tokens + 1);
        let mut world = looped(workers, tokens, Loop { calls: 60_000, leaves, leaf, gap: 0 }, None);
        world.run_until(SECOND / 10);
        let (_, before) = effort(&world.pools[0]);
        world.run_until(SECOND / 2);
        let rounds = effort(&world.pools[0]).1 - before;
        assert!(world.callers[0].done.is_none(), "the loop goes on");
        assert!(rounds <= most, "({workers}, {tokens}): {rounds} rounds in 0.4 s");
        assert_eq!(world.pools[0].policy.admitted(), leaves, "all are of use");
    }
}

/// How late a wide call has a worker for each leaf that comes at the end of such a loop.
fn late(workers: usize, tokens: usize, calls: Loop) -> Nanos {
    let leaf = 30 * MILLISECOND;
    let wide = program::halves(workers.min(tokens + 1), &mut || leaf);
    let mut world = looped(workers, tokens, calls, Some(wide));
    let mut begun = 0;
    while world.callers[0].done.is_none() {
        assert!(world.step(10 * SECOND), "it goes on");
        if world.callers[0].left() > 0 {
            begun = world.now;
        }
    }
    world.pools[0].done - begun - leaf
}

/// It is not put off with the governor's patrol, which may be 8 ms away.
#[test]
fn a_wide_call_at_the_end_of_a_loop_has_its_workers_before_long() {
    for (workers, tokens) in [(2, 1), (16, 15), (16, 3)] {
        for leaves in [1, workers.min(tokens + 1)] {
            for calls in (3_000..4_000).step_by(97) {
                let calls = Loop { calls, leaves, leaf: 8 * MICROSECOND, gap: 0 };
                let late = late(workers, tokens, calls);
                assert!(late <= 3 * MILLISECOND / 2, "({workers}, {tokens}), {calls:?}: {late} ns");
            }
        }
    }
}
