//! Why a law may say nothing of a larger model: told beside it, for a fit always gives numbers.

use super::ScaleReport;
use super::plot::short;

/// Exponents of the laws that have been published lie well within (arXiv 2001.08361: .076 and .095; 2203.15556: .34 and .28).
const EXPONENTS: std::ops::RangeInclusive<f64> = 0.02..=1.0;
/// After 500 steps models of 4,000 to 240,000 parameters stood in no order, after 1,000 nearly, after 2,000 in order (docs/training.md).
const STEPS_TELLING: u64 = 1000;

/// What speaks against a law, a sentence each.
pub(super) fn doubts(report: &ScaleReport) -> Vec<String> {
    let mut doubts = Vec::new();
    let law = &report.law;
    if !EXPONENTS.contains(&law.alpha) {
        doubts.push(format!("the exponent of the parameters, {:.3}, is none that models have", law.alpha));
    }
    if let Some(steps) = report.runs.iter().map(|run| run.steps).min().filter(|steps| *steps < STEPS_TELLING)
    {
        doubts.push(format!(
            "{steps} steps: models of so few are in the first fall of their loss, where chance decides more than size; {STEPS_TELLING} or twice as many would tell"
        ));
    }
    for pair in report.runs.windows(2) {
        let [smaller, larger] = [&pair[0], &pair[1]];
        if larger.point.loss >= smaller.point.loss {
            doubts.push(format!(
                "{} parameters learned no more than {}: noise, or a rate that is too high, hides what size gains",
                short(larger.point.parameters),
                short(smaller.point.parameters)
            ));
        }
    }
    if let Some(best) = report.runs.iter().map(|run| run.point.loss).reduce(f64::min)
        && report.prediction.loss >= best
    {
        doubts.push(format!("the larger model is predicted no better than one that was trained ({best:.3})"));
    }
    doubts
}
