//! From measures of rows to figures of a task: means with their standard errors, perplexities with theirs by bootstrap.
//!
//! ```text
//! mean        x̄, s ÷ √n with s of n − 1;   of a group of tasks: weighted by size, s² pooled
//! perplexity  e^(−x̄);   per word or byte: e^(−Σ ll ÷ Σ weights);   bits: −Σ ll ÷ Σ weights ÷ ln 2
//! ```

use super::judge::{Answered, Measure};
use schemas::hash::{Rng, seed};
use serde::Serialize;
use std::collections::BTreeMap;

/// Resamples of a bootstrap.
const RESAMPLES: u64 = 1000;

/// A figure with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// Its standard error; absent where there is one row alone, or none is defined.
    pub error: Option<f64>,
}

/// The figures of a task, a part of one, or a group of parts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Name.
    pub task: String,
    /// Rows.
    pub rows: usize,
    /// Figures by the name of what they measure, in the order of the task.
    pub figures: Vec<(&'static str, Figure)>,
}

/// The figures of rows, and where they have parts, of each part before that of all.
pub(super) fn summaries(
    name: &str,
    measures: &[&'static str],
    answered: &[&Answered],
    groups: &[(&'static str, &'static [&'static str])],
) -> Vec<Summary> {
    let mut parts: BTreeMap<&str, Vec<&Answered>> = BTreeMap::new();
    answered.iter().for_each(|row| parts.entry(&row.part).or_default().push(row));
    if parts.keys().all(|part| part.is_empty()) {
        return vec![summary(name, measures, answered)];
    }
    let leaves: Vec<Summary> = parts.iter().map(|(part, rows)| summary(part, measures, rows)).collect();
    let named = |group: &str, of: &dyn Fn(&str) -> bool| {
        let members: Vec<&Summary> = leaves.iter().filter(|leaf| of(&leaf.task)).collect();
        (!members.is_empty()).then(|| pooled(group, measures, &members))
    };
    let within = groups.iter().filter_map(|(group, subjects)| {
        // A group of which one subject alone was asked has no figure.
        let asked = *group == name
            || groups.iter().all(|(group, subjects)| *group != name && !subjects.contains(&name));
        asked.then(|| named(group, &|task| subjects.contains(&task))).flatten()
    });
    let mut all: Vec<Summary> = within.collect();
    if leaves.len() > 1 && all.iter().all(|summary| summary.task != name) {
        // Parts without groups are rows of one task, as in the harness; parts with groups are tasks.
        all.push(match groups {
            [] => summary(name, measures, answered),
            _ => pooled(name, measures, &leaves.iter().collect::<Vec<_>>()),
        });
    }
    leaves.into_iter().chain(all).collect()
}

fn summary(name: &str, measures: &[&'static str], rows: &[&Answered]) -> Summary {
    let figures = measures.iter().map(|&measure| {
        let values: Vec<Measure> = rows.iter().filter_map(|row| row.measures.get(measure).copied()).collect();
        (measure, figure(name, measure, &values))
    });
    Summary { task: name.to_owned(), rows: rows.len(), figures: figures.collect() }
}

fn figure(task: &str, measure: &str, values: &[Measure]) -> Figure {
    let plain: Vec<f64> = values.iter().map(|value| value.value).collect();
    let per_unit =
        |scale: f64| -plain.iter().sum::<f64>() / values.iter().map(|v| v.weight).sum::<f64>() / scale;
    match measure {
        "perplexity" => Figure {
            value: (-mean(&plain)).exp(),
            error: bootstrap(&plain, seed(0, task, 0), |values| (-mean(values)).exp()),
        },
        "word_perplexity" | "byte_perplexity" => Figure { value: per_unit(1.0).exp(), error: None },
        "bits_per_byte" => Figure { value: per_unit(std::f64::consts::LN_2), error: None },
        _ => {
            Figure { value: mean(&plain), error: deviation(&plain).map(|s| s / (plain.len() as f64).sqrt()) }
        }
    }
}

/// The figures of a group: means weighted by the rows of its members.
fn pooled(name: &str, measures: &[&'static str], members: &[&Summary]) -> Summary {
    let rows: usize = members.iter().map(|member| member.rows).sum();
    let figures = (0..measures.len()).map(|at| {
        let of = |member: &&Summary| member.figures[at].1;
        let value = members.iter().map(|m| of(m).value * m.rows as f64).sum::<f64>() / rows as f64;
        let squares = members.iter().map(|m| {
            let size = m.rows as f64;
            (size - 1.0) * size * of(m).error.unwrap_or(0.0).powi(2)
        });
        let free = rows - members.len();
        let error = (free > 0).then(|| (squares.sum::<f64>() / free as f64 / rows as f64).sqrt());
        (measures[at], Figure { value, error })
    });
    Summary { task: name.to_owned(), rows, figures: figures.collect() }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample's standard deviation.
fn deviation(values: &[f64]) -> Option<f64> {
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The deviation of a figure over resamples of its rows.
fn bootstrap(values: &[f64], key: u64, figure: impl Fn(&[f64]) -> f64) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let mut rng = Rng::new(key);
    let mut drawn = vec![0.0; values.len()];
    let figures = (0..RESAMPLES).map(|_| {
        let draw = |value: &mut f64| *value = values[rng.below(values.len() as u64) as usize];
        drawn.iter_mut().for_each(draw);
        figure(&drawn)
    });
    deviation(&figures.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(parts: &[(&str, &[f64])]) -> Vec<Answered> {
        let row = |part: &str, value: f64| Answered {
            part: part.to_owned(),
            measures: BTreeMap::from([("acc", Measure { value, weight: 1.0 })]),
            ..Answered::default()
        };
        parts.iter().flat_map(|(part, values)| values.iter().map(|value| row(part, *value))).collect()
    }

    fn near(found: Figure, value: f64, error: f64) {
        let found_error = found.error.unwrap();
        assert!((found.value - value).abs() < 1e-12 && (found_error - error).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn means_have_standard_errors() {
        let rows = rows(&[("", &[1.0, 0.0, 1.0, 1.0])]);
        let found = summaries("t", &["acc"], &rows.iter().collect::<Vec<_>>(), &[]);
        assert_eq!((found.len(), found[0].rows), (1, 4));
        near(found[0].figures[0].1, 0.75, 0.25);
    }

    #[test]
    fn groups_weigh_their_parts_by_size() {
        let rows = rows(&[("a", &[1.0, 1.0, 0.0, 0.0]), ("b", &[1.0, 0.0]), ("c", &[1.0, 1.0])]);
        let groups: &[(&str, &[&str])] = &[("x", &["a", "b"]), ("y", &["c"])];
        let found = summaries("all", &["acc"], &rows.iter().collect::<Vec<_>>(), groups);
        let names: Vec<&str> = found.iter().map(|summary| summary.task.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "x", "y", "all"]);
        let alone = summaries("a", &["acc"], &rows[..4].iter().collect::<Vec<_>>(), groups);
        assert_eq!(alone.iter().map(|summary| summary.task.as_str()).collect::<Vec<_>>(), ["a"]);
        near(found[3].figures[0].1, 0.5, ((3.0 * 4.0 / 12.0 + 1.0 * 2.0 * 0.25) / 4.0_f64 / 6.0).sqrt());
        near(found[5].figures[0].1, 0.625, ((3.0 * 4.0 / 12.0 + 2.0 * 0.25) / 5.0_f64 / 8.0).sqrt());
    }

    #[test]
    fn parts_of_one_task_are_one_sample() {
        let rows = rows(&[("a", &[1.0, 1.0]), ("b", &[0.0, 0.0])]);
        let found = summaries("all", &["acc"], &rows.iter().collect::<Vec<_>>(), &[]);
        assert_eq!(found.iter().map(|summary| summary.rows).collect::<Vec<_>>(), [2, 2, 4]);
        near(found[2].figures[0].1, 0.5, (1.0 / 3.0_f64).sqrt() / 2.0);
    }

    #[test]
    fn a_bootstrap_is_near_the_error_of_the_mean() {
        let values: Vec<f64> = (0..400).map(|n| f64::from(n * 37 % 101) / 101.0).collect();
        let exact = deviation(&values).unwrap() / 20.0;
        let found = bootstrap(&values, 1, mean).unwrap();
        assert!((found / exact - 1.0).abs() < 0.1, "{found} {exact}");
    }
}
