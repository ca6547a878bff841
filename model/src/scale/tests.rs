//! A ladder is trained, fitted and goes on where it stopped.

use super::*;
use crate::testing::{Folder, dataset};

/// Listens to nothing.
struct Deaf;

impl SweepObserver for Deaf {
    fn event(&self, _event: SweepEvent<'_>) {}
}

#[test]
fn a_ladder_is_trained_fitted_and_held_against_a_larger_model() {
    let folder = Folder::new("scale");
    let data = folder.0.join("dataset");
    dataset(&data);
    let batch = [
        ("batch_sequences".to_owned(), Value::Integer(1)),
        ("checkpoint_every".to_owned(), Value::Integer(0)),
    ];
    let scale = Scale {
        base: batch.to_vec(),
        sizes: 4,
        largest: 80_000,
        factor: 2.0,
        tokens: 16 * 40,
        tokens_per_parameter: None,
        jobs: 2,
        check: true,
    };
    let out = folder.0.join("out");
    let report = scale.run(&data, &out, &Deaf).unwrap();
    assert!(report.runs.len() == 4 && report.runs.iter().all(|run| run.steps == 40), "{report:#?}");
    assert!(report.runs.windows(2).all(|pair| pair[0].point.parameters < pair[1].point.parameters));
    let [low, high] = report.prediction.interval;
    assert!(low <= high && report.prediction.loss.is_finite() && report.miss.is_some(), "{report:#?}");
    let told = ["width = ", "learning_rate = ", "parametrization = \"mup\"", "base_width = "];
    assert!(told.iter().all(|key| report.settings.contains(key)), "{}", report.settings);
    // The rate was tried on two sizes, with half of the tokens, and is one for all.
    let tried = std::fs::read_dir(out.join("runs")).unwrap();
    let tried = tried.filter(|run| run.as_ref().unwrap().file_name().to_string_lossy().starts_with("rate-"));
    assert!(tried.count() >= 10);
    assert!(report.runs.iter().all(|run| run.learning_rate == report.runs[0].learning_rate));
    let svg = std::fs::read_to_string(out.join("scale.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.matches("<circle").count() == 5, "{svg}");
    // A law that no models have is not told without a word.
    let mut odd = report.clone();
    (odd.law.alpha, odd.prediction.loss) = (13.293, f64::INFINITY);
    let told = doubts::doubts(&odd).join("; ");
    assert!(told.contains("of the parameters, 13.293,") && told.contains("predicted no better"), "{told}");
    // The settings of the larger model stand under what speaks against the law.
    let larger = std::fs::read_to_string(out.join("larger.toml")).unwrap();
    let doubts = larger.lines().filter(|line| line.starts_with("# in doubt: ")).count();
    assert!(doubts == report.doubts.len() && doubts > 0 && larger.ends_with(&report.settings), "{larger}");
    let read: toml::Table = larger.parse().unwrap();
    assert_eq!(read["train"]["width"].as_integer(), report.check.as_ref().map(|run| run.width.cast_signed()));
    // Trained once; the same again.
    assert_eq!(scale.run(&data, &out, &Deaf).unwrap(), report);
    // Other settings are another ladder; a rate is not, for trainings are named by it.
    let key = |key: &str, value: f64| (key.to_owned(), Value::Float(value));
    let other = Scale { base: [&scale.base[..], &[key("weight_decay", 0.5)]].concat(), ..scale.clone() };
    let error = other.run(&data, &out, &Deaf).unwrap_err().to_string();
    assert!(error.contains("`weight_decay` was ") && error.contains("is 0.5"), "{error}");
    let rate = Scale {
        base: [&scale.base[..], &[key("learning_rate", 0.01)]].concat(),
        check: false,
        ..scale.clone()
    };
    assert_eq!(rate.run(&data, &out, &Deaf).unwrap().runs.len(), 4);
    let standard = ("parametrization".to_owned(), Value::String("standard".to_owned()));
    let base =
        [scale.base.as_slice(), &[standard, ("learning_rate".to_owned(), Value::Float(0.01))]].concat();
    // Sizes that come to one shape are one.
    let many = Scale { base, sizes: 30, tokens: 16 * 20, check: false, ..scale.clone() };
    let report = many.run(&data, &folder.0.join("many"), &Deaf).unwrap();
    assert!(!report.settings.contains("mup") && !report.settings.contains("base_width"));
    assert!((4..30).contains(&report.runs.len()), "{}", report.runs.len());
    let short = Scale { tokens: 16 * 39, ..scale.clone() };
    let error = short.run(&data, &out, &Deaf).unwrap_err().to_string();
    assert!(error.contains("312 tokens, fewer than 20 steps of 16; the smallest size needs 640"), "{error}");
    let decided = Scale { base: vec![("width".to_owned(), Value::Integer(8))], ..scale };
    let error = decided.run(&data, &out, &Deaf).unwrap_err().to_string();
    assert!(error.contains("the ladder decides on `width`"), "{error}");
}
