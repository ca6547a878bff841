//! Work side by side, each with its share of the threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Most tasks at once, whatever is asked for.
const JOBS_MAX: usize = 256;

/// How many of `tasks` are done at once where `jobs` are asked for.
pub(crate) fn at_once(jobs: usize, tasks: usize) -> usize {
    jobs.clamp(1, tasks.clamp(1, JOBS_MAX))
}

/// Does `work` for each of `tasks`, `jobs` of them at once; results stand in the order of the tasks.
///
/// # Panics
/// A task panics, or the system gives no thread.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    jobs: usize,
    tasks: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let jobs = at_once(jobs, tasks.len());
    if jobs == 1 {
        return tasks.iter().map(work).collect();
    }
    let threads = rayon::current_num_threads();
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for job in 0..jobs {
            let (next, results, work) = (&next, &results, &work);
            // What does not divide goes to the first jobs; no job is without a thread.
            let share = (threads / jobs + usize::from(job < threads % jobs)).max(1);
            scope.spawn(move || {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(share).build();
                let pool = pool.expect("the system gives threads");
                pool.install(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(task) = tasks.get(at) else { break };
                        let result = work(task);
                        *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                    }
                });
            });
        }
    });
    let taken = results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    taken.map(|result| result.expect("every task was done")).collect()
}
