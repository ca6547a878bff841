//! Why a law may say nothing of a larger model: told beside it, for a fit always gives numbers.

use super::ScaleReport;
use super::plot::short;

/// Exponents of the laws that have been published lie well within (arXiv 2001.08361: .076 and .095; 2203.15556: .34 and .28).
const EXPONENTS: std::ops::RangeInclusive<f64> = 0.02..=1.0;

/// What speaks against a law, a sentence each.
pub(super) fn doubts(report: &ScaleReport) -> Vec<String> {
    let mut doubts = Vec::new();
    let law = &report.law;
    let terms = [("the parameters", Some(law.alpha)), ("the tokens", report.joint.then_some(law.beta))];
    for (of, exponent) in terms {
        if let Some(exponent) = exponent.filter(|exponent| !EXPONENTS.contains(exponent)) {
            doubts.push(format!("the exponent of {of}, {exponent:.3}, is none that models have"));
        }
    }
    let tokens = report.runs.iter().map(|run| run.point.tokens).fold(0.0, f64::max);
    let longest: Vec<_> =
        report.runs.iter().filter(|run| !report.joint || run.point.tokens == tokens).collect();
    for pair in longest.windows(2) {
        let [smaller, larger] = [pair[0], pair[1]];
        if larger.point.loss >= smaller.point.loss {
            doubts.push(format!(
                "{} parameters learned no more than {} from as many steps: noise, or a rate that is too high, hides what size gains",
                short(larger.point.parameters),
                short(smaller.point.parameters)
            ));
        }
    }
    if let Some(best) = longest.iter().map(|run| run.point.loss).reduce(f64::min)
        && report.prediction.loss >= best
    {
        doubts.push(format!("the larger model is predicted no better than one that was trained ({best:.3})"));
    }
    doubts
}
