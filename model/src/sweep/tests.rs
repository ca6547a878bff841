//! Trials are ranked, resumed and told with their errors.

use super::*;
use crate::testing::{Folder, dataset};
use std::collections::BTreeMap;
use std::sync::Mutex;

fn sweep(axes: &[(&str, &[Value])], halving: Option<u64>, jobs: usize) -> Sweep {
    let axis = |(key, values): &(&str, &[Value])| Axis { key: (*key).to_owned(), values: values.to_vec() };
    let base = [
        ("layers", 1),
        ("width", 16),
        ("heads", 2),
        ("steps", 40),
        ("batch_sequences", 2),
        ("eval_every", 0),
    ];
    let base = base.map(|(key, value)| (key.to_owned(), Value::Integer(value))).to_vec();
    Sweep { base, axes: axes.iter().map(axis).collect(), halving, jobs }
}

/// Counts the steps that were done, and keeps what a person is told.
#[derive(Default)]
struct Steps(Mutex<BTreeMap<String, u64>>, Mutex<Vec<String>>);

impl SweepObserver for Steps {
    fn event(&self, event: SweepEvent<'_>) {
        if let SweepEvent::Trial { name, event: TrainEvent::Step { .. } } = event {
            *self.0.lock().unwrap().entry(name.to_owned()).or_default() += 1;
        }
        if let SweepEvent::Note { message } = event {
            self.1.lock().unwrap().push(message.to_owned());
        }
    }
}

fn done(sweep: &Sweep, folder: &Folder, out: &str) -> (SweepReport, u64) {
    let steps = Steps::default();
    let report = sweep.run(&folder.0.join("dataset"), &folder.0.join(out), &steps).unwrap();
    let steps = steps.0.into_inner().unwrap().values().sum();
    (report, steps)
}

#[test]
fn a_grid_ranks_its_trials_and_goes_on_where_it_stopped() {
    let folder = Folder::new("sweep");
    dataset(&folder.0.join("dataset"));
    let rates = [0.0001, 0.01].map(Value::Float);
    let heads = [2, 3].map(Value::Integer);
    let two = sweep(&[("learning_rate", &rates), ("heads", &heads)], None, 2);
    let (report, steps) = done(&two, &folder, "out");
    assert_eq!(steps, 80, "two trials of four have heads that divide");
    let names: Vec<&str> = report.trials.iter().map(|trial| trial.name.as_str()).collect();
    assert_eq!(names[..2], ["learning_rate=0.01,heads=2", "learning_rate=0.0001,heads=2"]);
    let error = report.trials[2].error.as_deref().unwrap();
    assert!(error.contains("`heads` = 3 does not divide `width` = 16"), "{error}");
    let best = report.best.as_deref().unwrap();
    assert!(best.starts_with("[train]\n") && best.contains("learning_rate = 0.01\n"), "{best}");
    let read = |out: &str, name: &str| std::fs::read(folder.0.join(out).join(name)).unwrap();
    // Again: nothing is trained; another count of jobs: the same bytes.
    let (again, steps) = done(&two, &folder, "out");
    assert_eq!((again.trials == report.trials, steps), (true, 0));
    done(&Sweep { jobs: 1, ..two }, &folder, "alone");
    for name in ["sweep.json", "trials.parquet", "best.toml"] {
        assert_eq!(read("out", name), read("alone", name), "{name}");
    }
}

#[test]
fn a_folder_is_not_given_other_trials_without_a_word() {
    let folder = Folder::new("sweep-used");
    dataset(&folder.0.join("dataset"));
    let run = |sweep: &Sweep, told: &Steps| {
        sweep.run(&folder.0.join("dataset"), &folder.0.join("out"), told).map(|report| report.trials.len())
    };
    let mut one = sweep(&[("seed", &[Value::Integer(1)])], None, 1);
    let mut told = || {
        let steps = Steps::default();
        let trials = run(&one, &steps).map_err(|error| error.to_string());
        one.axes[0].values.push(Value::Integer(2));
        (trials, steps.1.into_inner().unwrap().join("\n"))
    };
    assert_eq!(told(), (Ok(1), String::new()));
    let (trials, notes) = told();
    assert!(trials == Ok(2) && notes.contains("`seed` was 1, is 1,2"), "{notes}");
    // What makes no other training of a trial may change, other settings may not; also where the earlier sweep has not ended.
    std::fs::remove_file(folder.0.join("out/sweep.json")).unwrap();
    let mut other = sweep(&[("seed", &[Value::Integer(1)])], None, 1);
    other.base.push(("memory_mib".to_owned(), Value::Integer(4096)));
    assert_eq!(run(&other, &Steps::default()).unwrap(), 1);
    other.base.push(("width".to_owned(), Value::Integer(32)));
    other.base.retain(|(key, value)| key != "width" || *value == Value::Integer(32));
    let error = run(&other, &Steps::default()).unwrap_err().to_string();
    assert!(error.contains("`width` was 16, is 32") && error.contains("`--out`"), "{error}");
    // What was set for all may be what is tried.
    run(&sweep(&[("width", &[16, 32].map(Value::Integer))], None, 1), &Steps::default()).unwrap();
    // A model to go on from is told by its tensors.
    let from = |seed: i64| {
        let mut sweep = sweep(&[("seed", &[Value::Integer(3)])], None, 1);
        let trained = folder.0.join(format!("out/trials/seed={seed}"));
        sweep.base.push(("init_from".to_owned(), Value::from(trained.display().to_string())));
        sweep.run(&folder.0.join("dataset"), &folder.0.join("from"), &Steps::default())
    };
    from(1).unwrap();
    let error = from(2).unwrap_err().to_string();
    assert!(error.contains("`model` was "), "{error}");
}

#[test]
fn trials_that_cannot_be_trained_are_told_first() {
    let folder = Folder::new("sweep-unsound");
    dataset(&folder.0.join("dataset"));
    let run = |heads: &[i64], told: &Steps| {
        let heads: Vec<Value> = heads.iter().copied().map(Value::Integer).collect();
        sweep(&[("heads", &heads)], None, 1).run(&folder.0.join("dataset"), &folder.0.join("out"), told)
    };
    let told = Steps::default();
    run(&[2, 3], &told).unwrap();
    let notes = told.1.into_inner().unwrap();
    assert_eq!(notes, ["heads=3 cannot be trained: `heads` = 3 does not divide `width` = 16"]);
    // A grid of nothing else is refused.
    let error = run(&[3, 5], &Steps::default()).unwrap_err().to_string();
    assert!(error.contains("`heads` = 3 does not divide"), "{error}");
    assert!(!folder.0.join("out/trials/heads=5").exists());
}

#[test]
fn halving_trains_the_best_longer() {
    let folder = Folder::new("halving");
    dataset(&folder.0.join("dataset"));
    let rates = [0.0001, 0.001, 0.01, 0.02].map(Value::Float);
    let (report, steps) = done(&sweep(&[("learning_rate", &rates)], Some(2), 2), &folder, "out");
    assert_eq!(steps, 4 * 20 + 2 * 40);
    let rungs: Vec<(u64, Option<u64>)> = report.trials.iter().map(|t| (t.rung, t.steps)).collect();
    assert_eq!(rungs, [[(1, Some(40)); 2].as_slice(), &[(0, Some(20)); 4]].concat());
    let kept: Vec<&String> = report.trials[2..4].iter().map(|trial| &trial.name).collect();
    assert!(report.trials[..2].iter().all(|trial| kept.contains(&&trial.name)), "{report:#?}");
    // Where there is no shorter rung, it is told.
    let told = Steps::default();
    let two = sweep(&[("learning_rate", &rates[..2])], Some(3), 1);
    two.run(&folder.0.join("dataset"), &folder.0.join("two"), &told).unwrap();
    let notes = told.1.into_inner().unwrap().join("\n");
    assert!(notes.contains("2 trials of 40 steps leave no shorter rung"), "{notes}");
}

/// What is predicted from both sides gives a text no probability: no bits per byte, and trials are ranked by loss.
#[test]
fn trials_of_hidden_tokens_are_ranked_by_loss() {
    let folder = Folder::new("masked-sweep");
    dataset(&folder.0.join("dataset"));
    let rates = [0.0001, 0.01].map(Value::Float);
    let mut masked = sweep(&[("learning_rate", &rates)], None, 1);
    masked.base.push(("objective".to_owned(), Value::from("masked")));
    let (report, _) = done(&masked, &folder, "out");
    assert!(report.best.is_some() && report.trials.iter().all(|trial| trial.bits_per_byte.is_none()));
    let losses: Vec<f64> = report.trials.iter().map(|trial| trial.figure().unwrap()).collect();
    assert!(losses[0] < losses[1] && Some(losses[0]) == report.trials[0].validation_loss, "{losses:?}");
    let trained = folder.0.join("out/trials/learning_rate=0.01");
    let metrics = std::fs::read_to_string(trained.join("metrics.jsonl")).unwrap();
    assert!(metrics.contains("validation_loss") && !metrics.contains("bits_per_byte"), "{metrics}");
    let told = std::fs::read_to_string(trained.join("training.json")).unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(
        told["validation_loss"].is_f64() && told["bits_per_byte"].is_null() && told["perplexity"].is_null()
    );
    let found = crate::eval::perplexity::perplexity(&trained, &folder.0.join("dataset")).unwrap();
    assert_eq!((found.bits_per_byte(), found.bits_per_character(), found.perplexity()), (None, None, None));
}

#[test]
fn a_rung_has_its_part_of_the_warm_up() {
    let mut sweep = sweep(&[("learning_rate", &[Value::Float(0.001)])], Some(2), 1);
    assert_eq!(sweep.warmup(&[], Some(20)), None);
    let warmup = |steps| ("warmup_steps".to_owned(), Value::Integer(steps));
    sweep.base.push(warmup(30));
    assert_eq!(sweep.warmup(&[], Some(20)), Some(warmup(15)));
    assert_eq!(sweep.warmup(&[], Some(40)), None);
    assert_eq!(sweep.warmup(&[warmup(10)], Some(20)), Some(warmup(5)));
}

#[test]
fn a_grid_that_is_none_is_refused() {
    let refused = |axes: &[(&str, &[Value])], halving| {
        sweep(axes, halving, 1).trials().map(|trials| trials.len()).unwrap_err().to_string()
    };
    let one = [Value::Integer(64)];
    assert!(refused(&[("learning_rat", &one)], None).contains("did you mean `learning_rate`?"));
    assert!(refused(&[("steps", &one)], Some(3)).contains("take it out of the grid"));
    assert!(refused(&[], None).contains("the grid is empty"));
    assert!(refused(&[("width", &one), ("width", &one)], None).contains("stands twice"));
    assert!(refused(&[("width", &[Value::Integer(1)])], None).contains("width=1: "));
    let twice = [64, 128, 64].map(Value::Integer);
    assert!(refused(&[("width", &twice)], None).contains("a value of `width` stands twice"));
    let long = [Value::String("a/b".repeat(60))];
    let trials = sweep(&[("init_from", &long)], None, 1).trials().unwrap();
    assert!(trials[0].name.len() == NAME_MAX + 9 && !trials[0].name.contains('/'));
}

#[test]
fn a_preset_lies_beneath_the_settings_of_trials_and_is_written_out_in_the_best() {
    let mut sweep = sweep(&[("learning_rate", &[Value::Float(0.001)])], None, 1);
    let preset = |name: &str| ("preset".to_owned(), Value::from(name));
    sweep.base.push(preset("griffin"));
    let config = sweep.config(&[]).unwrap();
    // `layers` is set, and so not the preset's 3.
    assert_eq!((config.mixers.as_deref(), config.window, config.layers), (Some("rra"), Some(128), 1));
    let best = toml(&config, &[]);
    assert!(best.contains("mixers = \"rra\"\n") && !best.contains("preset"), "{best}");
    let table: toml::Table = best.parse().unwrap();
    let pairs = table["train"].as_table().unwrap().clone().into_iter().collect();
    let again = presets::read(&Settings::new(pairs)).unwrap();
    assert_eq!(again, Config { preset: again.preset, ..config });
    // A preset may be what is tried.
    assert_eq!(sweep.config(&[preset("mixtral")]).unwrap().experts, Some(8));
}
