//! The same requests to the server of the protocol's authors and to ours: what the protocol fixes has to be the same.
//!
//! `OPPONENT` names their program, `DIFFERENTIAL_SEEDS` says how many seeds are run, `SOAK_SEED` with which it begins;
//! `cargo xtask soak --only differential` sets all three. A seed that fails is printed with its requests.
//!
//! What is not compared: how refusals are worded, how offsets and tags are spelled (the same places have to have the same
//! ones), how answers may be cached, and where the two are known to differ:
//!
//! - a close without a body starts the time to live anew with us, as the protocol has it, and not with them: no story
//!   here waits for the end of a stream;
//! - what a browser is told before it asks (`OPTIONS`), and the reserved `__ds`, which they take for a stream;
//! - what [`compare::known`] lists, each with its reason.

mod compare;
#[path = "../simulator/random.rs"]
mod random;
mod sides;
mod story;
mod wire;

use std::collections::BTreeMap;

use random::Random;
use sides::Sides;
use story::Story;

/// How many requests a seed makes.
const REQUESTS: usize = 60;
/// How many of the seeds that differ are shown.
const SHOWN: usize = 5;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "needs the server of the protocol's authors, which `cargo xtask soak --only differential` brings"]
fn whatever_is_asked_both_answer_the_same() {
    let sides = Sides::start();
    let first = number("SOAK_SEED", 1);
    let count = number("DIFFERENTIAL_SEEDS", 20);
    let mut tally = Tally::default();
    let problems: Vec<String> = (first..first + count).filter_map(|seed| run(seed, &sides, &mut tally).err()).collect();
    println!("{count} seeds from {first} on, {REQUESTS} requests each; answers: {:?}", tally.answered);
    for (reason, times) in tally.known {
        println!("known to differ, {times} times: {reason}");
    }
    let shown = problems.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(problems.is_empty(), "{} seeds differ:\n\n{shown}", problems.len());
}

/// What was asked and seen.
#[derive(Default)]
struct Tally {
    answered: BTreeMap<(&'static str, u16), u64>,
    known: BTreeMap<&'static str, u64>,
}

/// Asks both until they differ.
fn run(seed: u64, sides: &Sides, tally: &mut Tally) -> Result<(), String> {
    let mut story = Story::new(seed, Random::new(seed));
    for _ in 0..REQUESTS {
        let request = story.next();
        let answers = sides.ask(&request, &story);
        *tally.answered.entry((request.method, answers[1].status)).or_default() += 1;
        let Some(problem) = compare::differs(&request, &answers, &story) else {
            story.learn(&request, &answers);
            continue;
        };
        let Some(reason) = compare::known(&request, &answers) else {
            let [theirs, ours] = answers;
            let told = story.told();
            return Err(format!(
                "seed {seed}: {problem}\n{told}theirs: {theirs}\nours: {ours}\nDIFFERENTIAL_SEEDS=1 SOAK_SEED={seed} replays it"
            ));
        };
        *tally.known.entry(reason).or_default() += 1;
        if answers.iter().any(|answer| answer.status < 400) {
            // From here on the two may hold different things, and what only one of them has holds nothing else.
            sides.ask(&request.deleting(), &story);
            story.abandon(&request);
        }
    }
    Ok(())
}
