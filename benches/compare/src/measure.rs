//! Taking turns, and medians.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Rows of the tables that are read.
pub const ROWS: u64 = 100_000;

/// One system with its work prepared: a call does so many operations and tells how long they took.
pub struct Contender {
    pub name: &'static str,
    pub work: Box<dyn FnMut(u64) -> Duration>,
}

impl Contender {
    /// A contender that is timed from outside.
    pub fn new(name: &'static str, mut work: impl FnMut(u64) + 'static) -> Contender {
        let work = move |operations| {
            let start = Instant::now();
            work(operations);
            start.elapsed()
        };
        Contender { name, work: Box::new(work) }
    }

    /// Several threads that share the operations; each is made ready before the clock starts.
    pub fn threads<W, F>(name: &'static str, threads: u64, prepare: F) -> Contender
    where
        W: FnMut(u64),
        F: Fn(u64) -> W + Sync + 'static,
    {
        let mut done = 0;
        let work = move |operations: u64| {
            let each = operations / threads;
            let barrier = Barrier::new(threads as usize + 1);
            let first = done;
            done += operations;
            std::thread::scope(|scope| {
                let mut running = Vec::new();
                for thread in 0..threads {
                    let (barrier, prepare) = (&barrier, &prepare);
                    running.push(scope.spawn(move || {
                        let mut work = prepare(thread);
                        barrier.wait();
                        (0..each).for_each(|number| work(first + thread * each + number));
                    }));
                }
                barrier.wait();
                let start = Instant::now();
                running.into_iter().for_each(|thread| thread.join().expect("a writer that ends well"));
                start.elapsed()
            })
        };
        Contender { name, work: Box::new(work) }
    }
}

/// What is measured.
pub struct Experiment {
    pub name: &'static str,
    /// In each round, of each system.
    pub operations: u64,
    pub contenders: fn(&Path) -> Vec<Contender>,
}

/// A key to read, spread over all there are.
pub fn spread(number: u64) -> u64 {
    number.wrapping_mul(7_919) % ROWS
}

/// Runs an experiment and prints what came out; the first contender is us.
pub fn run(experiment: &Experiment, mut contenders: Vec<Contender>, rounds: usize) {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    // The first round warms up and does not count.
    for round in 0..=rounds {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let elapsed = (contender.work)(experiment.operations);
            if round > 0 {
                times.push(elapsed.as_secs_f64() / experiment.operations as f64);
            }
        }
    }
    println!("{} ({} rounds of {})", experiment.name, rounds, experiment.operations);
    let medians: Vec<f64> = times.iter_mut().map(|times| median(times)).collect();
    for ((contender, times), each) in contenders.iter().zip(&times).zip(&medians) {
        let (best, worst) = (times[0], times[times.len() - 1]);
        println!(
            "    {:<28} {:>10.3} µs   {:>12.0} /s   (best {:.3}, worst {:.3})   we are {:.2}x",
            contender.name,
            each * 1e6,
            1.0 / each,
            best * 1e6,
            worst * 1e6,
            each / medians[0],
        );
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
