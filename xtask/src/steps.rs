//! Named steps with their times, all run even when one fails.

use std::time::{Duration, Instant};

/// The steps so far.
pub struct Steps {
    began: Instant,
    done: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    problem: Option<String>,
}

impl Steps {
    pub fn begin() -> Self {
        Self { began: Instant::now(), done: Vec::new() }
    }

    /// Runs one step; a failure is remembered and shown in the summary.
    pub fn step<T>(&mut self, name: &'static str, act: impl FnOnce() -> anyhow::Result<T>) -> Option<T> {
        println!("\n== {name}");
        let began = Instant::now();
        let result = act();
        let took = began.elapsed();
        let problem = result.as_ref().err().map(|error| format!("{error:#}"));
        match &problem {
            None => println!("== {name}: ok, {:.1} s", took.as_secs_f32()),
            Some(problem) => println!("== {name}: FAILED, {problem}"),
        }
        self.done.push(Step { name, took, problem });
        result.ok()
    }

    /// Prints what happened and fails when a step did.
    pub fn finish(self) -> anyhow::Result<()> {
        println!("\n== summary");
        for step in &self.done {
            let verdict = if step.problem.is_some() { "FAILED" } else { "ok" };
            println!("{verdict:6} {:7.1} s  {}", step.took.as_secs_f32(), step.name);
        }
        println!("in all {:7.1} s", self.began.elapsed().as_secs_f32());
        let problems: Vec<_> =
            self.done.iter().filter_map(|step| Some(format!("{}: {}", step.name, step.problem.as_ref()?))).collect();
        anyhow::ensure!(problems.is_empty(), "{}", problems.join("\n"));
        Ok(())
    }
}
