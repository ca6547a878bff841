//! Laws of alignment: adapters change nothing at first and merge to the same model, courses resume to the same bytes, and scores rise.

use super::adapter::{Lora, merge, save};
use super::dpo::{self, Dpo};
use super::grpo::Grpo;
use super::packed::{Packed, Sequence};
use super::rules::Rules;
use super::{Common, Job, Pair, Rows, Task};
use crate::architecture::{Source, Transformer};
use crate::batch::Batch;
use crate::config::Config;
use crate::folder;
use crate::layer::dropout::Dropout;
use crate::numeric::{Nudge, assert_numeric};
use crate::optimizer::Optimizer;
use crate::parts::Architecture;
use crate::progress::{Silent, TrainEvent, TrainObserver};
use crate::testing::{Folder, chats, chats_with, dataset, rows};
use crate::tests::{model, small};
use candle_core::Device;
use std::path::Path;

/// Adapters of rank 3 that have learned something.
fn adapted(architecture: Architecture) -> (Transformer<f32>, Lora) {
    let mut model: Transformer<f32> = model(&small(architecture), 12);
    let lora = Lora { rank: 3, alpha: 6.0, targets: vec![] };
    lora.attach(&mut model, Source::drawn(4)).unwrap();
    for (at, up) in model.learning().iter().enumerate().filter(|(_, p)| p.name().ends_with("lora_B.weight")) {
        let values: Vec<f32> = crate::numeric::numbers(up.value().elem_count(), at as u64);
        let values = values.iter().map(|x| 0.1 * x).collect();
        up.value()
            .set(&candle_core::Tensor::from_vec(values, up.value().shape(), &Device::Cpu).unwrap())
            .unwrap();
    }
    (model, lora)
}

fn logits(model: &Transformer<f32>) -> Vec<f32> {
    model.next_logits(&[3, 1, 4, 1, 5], &mut model.caches(), 0).unwrap()
}

#[test]
fn adapters_begin_as_nothing_and_merge_to_the_same_logits() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let base: Transformer<f32> = model(&small(architecture), 12);
        let mut fresh = base.share();
        let lora = Lora { rank: 2, alpha: 4.0, targets: vec![] };
        lora.attach(&mut fresh, Source::drawn(1)).unwrap();
        assert_eq!(logits(&fresh), logits(&base), "{architecture:?}");

        let folder = Folder::new(&format!("merge-{architecture:?}"));
        let (base_folder, adapter) = (folder.0.join("base"), folder.0.join("adapter"));
        [&base_folder, &adapter].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        folder::save(&base, &base_folder).unwrap();
        let (mut model, lora) = adapted(architecture);
        save(&model, &lora, &base_folder, &adapter).unwrap();
        let before = logits(&model);
        assert!(before.iter().zip(logits(&base)).any(|(a, b)| (a - b).abs() > 1e-3));
        merge(&mut model).unwrap();
        let near = |after: Vec<f32>| before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(logits(&model)), "{architecture:?}");
        assert!(near(logits(&folder::load(&adapter).unwrap())), "{architecture:?}");
        let merged = folder.0.join("merged");
        super::merge(&adapter, &merged).unwrap();
        let told = super::merge(&adapter, &merged).unwrap_err().to_string();
        assert!(told.contains("not empty"), "{told}");
        assert!(near(logits(&folder::load(&merged).unwrap())), "{architecture:?}");
        let bytes = |folder: &Path, name: &str| std::fs::metadata(folder.join(name)).unwrap().len();
        assert!(bytes(&adapter, super::adapter::ADAPTER) < bytes(&merged, folder::TENSORS));
    }
}

#[test]
fn an_adapter_lies_over_an_adapter_or_over_weights_in_several_files() {
    let folder = Folder::new("chain");
    let [base, first, second] = ["base", "first", "second"].map(|name| folder.0.join(name));
    [&base, &first, &second].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    let whole: Transformer<f32> = model(&small(Architecture::Llama), 12);
    folder::save_config(&whole, &base).unwrap();
    let named = folder::named(&whole).unwrap();
    crate::export::write_tensors(&named, crate::export::Precision::F32, 4000, &base).unwrap();
    assert!(folder::weight_files(&base).unwrap().len() > 1);
    let (mut model, lora) = adapted(Architecture::Llama);
    save(&model, &lora, &base, &first).unwrap();
    merge(&mut model).unwrap();
    let over_one = logits(&model);
    lora.attach(&mut model, Source::drawn(9)).unwrap();
    for (at, up) in model.learning().iter().enumerate().filter(|(_, p)| p.name().ends_with("lora_B.weight")) {
        let values: Vec<f32> = crate::numeric::numbers(up.value().elem_count(), 100 + at as u64);
        up.value()
            .set(&candle_core::Tensor::from_vec(values, up.value().shape(), &Device::Cpu).unwrap())
            .unwrap();
    }
    save(&model, &lora, &first, &second).unwrap();
    merge(&mut model).unwrap();
    let over_two = logits(&model);
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(!near(&over_one, &over_two));
    assert!(near(&logits(&folder::load(&first).unwrap()), &over_one));
    assert!(near(&logits(&folder::load(&second).unwrap()), &over_two));
    assert_ne!(super::adapter::hash(&first).unwrap(), super::adapter::hash(&second).unwrap());
    // A circle is no model.
    let path = first.join(super::adapter::ADAPTER_CONFIG);
    let config = std::fs::read_to_string(&path).unwrap();
    let canonical = |folder: &Path| std::fs::canonicalize(folder).unwrap().display().to_string();
    std::fs::write(&path, config.replace(&canonical(&base), &canonical(&second))).unwrap();
    let told = folder::load(&second).unwrap_err().to_string();
    assert!(told.contains("adapters lie over each other"), "{told}");
}

#[test]
fn settings_of_peft_that_change_the_result_are_refused() {
    let folder = Folder::new("peft");
    let [base, adapter] = ["base", "adapter"].map(|name| folder.0.join(name));
    [&base, &adapter].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    folder::save(&model(&small(Architecture::Llama), 12), &base).unwrap();
    let (model, lora) = adapted(Architecture::Llama);
    save(&model, &lora, &base, &adapter).unwrap();
    let path = adapter.join(super::adapter::ADAPTER_CONFIG);
    let own: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let told = |key: &str, value: serde_json::Value| {
        let mut config = own.clone();
        config[key] = value;
        std::fs::write(&path, config.to_string()).unwrap();
        folder::load(&adapter).map_or_else(|error| error.to_string(), |_| String::new())
    };
    use serde_json::json;
    for (key, value) in [
        ("use_rslora", json!(true)),
        ("use_dora", json!(true)),
        ("rank_pattern", json!({"q_proj": 4})),
        ("alpha_pattern", json!({"q_proj": 4})),
        ("modules_to_save", json!(["lm_head"])),
        ("bias", json!("all")),
        ("fan_in_fan_out", json!(true)),
        ("target_modules", json!(".*q_proj")),
        ("target_modules", json!(null)),
    ] {
        let told = told(key, value);
        assert!(told.contains(&format!("`{key}")), "{key}: {told}");
    }
    for (key, value) in [
        ("use_rslora", json!(false)),
        ("rank_pattern", json!({})),
        ("modules_to_save", json!(null)),
        ("target_modules", json!("all-linear")),
        ("revision", json!(null)),
    ] {
        assert_eq!(told(key, value), "", "{key}");
    }
}

#[test]
fn an_adapter_of_another_architecture_is_refused() {
    let folder = Folder::new("other-adapter");
    let (llama, gpt, adapter) = (folder.0.join("llama"), folder.0.join("gpt"), folder.0.join("adapter"));
    [&llama, &gpt, &adapter].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
    folder::save(&model(&small(Architecture::Llama), 12), &llama).unwrap();
    let wider = Config { width: 32, ..small(Architecture::Llama) };
    folder::save(&model(&wider, 12), &gpt).unwrap();
    let (model, lora) = adapted(Architecture::Llama);
    save(&model, &lora, &gpt, &adapter).unwrap();
    let told = folder::load(&adapter).unwrap_err().to_string();
    assert!(
        told.contains("another architecture")
            && told.contains("hidden_size: 16 in the adapter, 32 in the base"),
        "{told}"
    );
    save(&model, &lora, &llama, &adapter).unwrap();
    folder::load(&adapter).unwrap();
    let other = Config { seed: 1, ..small(Architecture::Llama) };
    folder::save(&crate::tests::model(&other, 12), &llama).unwrap();
    let more = folder::load(&adapter).unwrap_err().to_string();
    assert!(more.contains("other weights"), "{more}");
    std::fs::remove_file(llama.join(folder::TENSORS)).unwrap();
    let told = folder::load(&adapter).unwrap_err().to_string();
    assert!(told.contains("`base_model_name_or_path`"), "{told}");
    let wrong = Lora { rank: 2, alpha: 1.0, targets: vec!["q_porj".into()] };
    let mut model: Transformer<f32> = crate::tests::model(&small(Architecture::Llama), 12);
    let told = wrong.attach(&mut model, Source::drawn(0)).unwrap_err().to_string();
    assert!(told.contains("`q_porj`") && told.contains("q_proj"), "{told}");
}

#[test]
fn frozen_parameters_get_no_gradient_and_keep_their_values() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let (model, _) = adapted(architecture);
        let before: Vec<Vec<f32>> =
            model.parameters.iter().map(|p| p.read(<[f32]>::to_vec).unwrap()).collect();
        let batch = Batch::new(&rows(2, 12, 23, 5), 0);
        model.gradients(&batch, 0.1, Dropout::NONE).unwrap();
        let learning = model.learning();
        assert_eq!(learning.len(), if architecture == Architecture::Llama { 2 * 7 * 2 } else { 2 * 4 * 2 });
        let optimizer = Optimizer::of(&model, &Config::default());
        optimizer.assert_every_gradient(0).unwrap();
        optimizer.step(0, 0.1, optimizer.gradient_norm()).unwrap();
        for (parameter, before) in model.parameters.iter().zip(before) {
            let same = parameter.read(|now| now == before).unwrap();
            assert_eq!(same, !parameter.learns(), "{}", parameter.name());
            assert!(parameter.learns() || parameter.gradient(|g| g.is_none()), "{}", parameter.name());
        }
    }
}

#[test]
fn the_gradient_of_preferences_is_the_numeric_one() {
    let config = Config { tied_head: false, ..small(Architecture::Llama) };
    let model: Transformer<f64> = model(&config, 12);
    for (at, parameter) in model.parameters.iter().enumerate() {
        for i in 0..parameter.value().elem_count() {
            let draw = schemas::hash::Rng::new(at as u64).at(i as u64) as f64 / u64::MAX as f64 - 0.5;
            parameter.value().inplace_op1(&Nudge(i, 0.6 * draw)).unwrap();
        }
    }
    let texts = [(&[1, 2, 3][..], &[4, 5][..]), (&[1, 2, 3], &[6, 2, 1, 8]), (&[7], &[8, 9]), (&[7], &[2])];
    let texts = texts.map(|(prompt, answer)| Sequence { prompt, answer });
    let packed = Packed::new(&texts, 0);
    let settings = Dpo { beta: 0.5, label_smoothing: 0.1, chosen_weight: 0.7, ..Dpo::default() };
    let loss = |tokens: &[Vec<f64>]| {
        let found =
            tokens.as_chunks::<2>().0.iter().map(|both| (both, dpo::pair(&settings, both, [-7.0, -9.0])));
        let derivatives = found
            .clone()
            .flat_map(|(both, (_, by))| [vec![by[0]; both[0].len()], vec![by[1]; both[1].len()]]);
        (found.clone().map(|(_, (loss, _))| loss).sum::<f64>(), derivatives.collect::<Vec<_>>())
    };
    packed.gradients(&model, Dropout::NONE, loss).unwrap();
    let value = || loss(&packed.log_probabilities(&model).unwrap()).0;
    for parameter in &model.parameters {
        let found = parameter.gradient(|g| g.expect("every tensor gets a gradient").to_vec());
        assert_numeric(parameter.name(), parameter.value(), &found, 4, &value);
    }
}

/// A model that has learned the tiny dataset a little, whose token t is followed by t + 1 or t + 2.
fn base(folder: &Path) {
    dataset(&folder.join("dataset"));
    let config = Config {
        steps: 60,
        eval_every: 0,
        checkpoint_every: 0,
        learning_rate: 0.02,
        ..small(Architecture::Llama)
    };
    crate::train::run(&folder.join("dataset"), &folder.join("base"), &config, &Silent).unwrap();
}

/// A course from a model, as it is without flags.
fn course<'a>(base: &'a Path, out: &'a Path, common: &'a Common, observer: &'a dyn TrainObserver) -> Job<'a> {
    Job {
        base,
        out,
        common,
        merge: false,
        restart: false,
        tokenizer_config: None,
        template: None,
        refused: "",
        observer,
    }
}

/// Prompts of two tokens; the better answer is the same everywhere, and so is the worse one.
fn pairs() -> Rows<Pair> {
    let pair = |at: u32| {
        let token = 40 + at * 7 % 60;
        Pair {
            line: u64::from(at) + 1,
            prompt: vec![token - 1, token],
            chosen: vec![30, 0],
            rejected: vec![31, 0],
        }
    };
    let (held_out, train) = (0..60).map(pair).partition(|pair: &Pair| pair.line.is_multiple_of(4));
    Rows { name: "pairs".into(), hash: [7; 32], train, held_out, end: 0 }
}

fn tasks() -> Rows<Task> {
    let Rows { train, held_out, .. } = pairs();
    let of = |pairs: Vec<Pair>| {
        let task = |pair: Pair| Task { line: pair.line, prompt: pair.prompt, answer: "any".into() };
        pairs.into_iter().map(task).collect()
    };
    Rows { name: "tasks".into(), hash: [8; 32], train: of(train), held_out: of(held_out), end: 0 }
}

/// Panics at a step, as a killed course would stop.
struct StopAt(u64);

impl TrainObserver for StopAt {
    fn event(&self, event: TrainEvent<'_>) {
        assert!(!matches!(event, TrainEvent::Step { step, .. } if step == self.0), "stopped by the test");
    }
}

type Way<'a> = &'a (dyn Fn(&Job<'_>) -> Result<super::AlignReport, crate::TrainError> + Sync);

/// Runs a course straight, and another that is killed on the way and goes on at another thread count: the same bytes.
fn resumes(folder: &Path, name: &str, common: &Common, merge: bool, way: Way<'_>) -> super::AlignReport {
    let base = folder.join("base");
    let out = |run: &str| folder.join(format!("{name}-{run}"));
    let job = |out: &Path, observer: &dyn TrainObserver| {
        way(&Job { merge, ..course(&base, out, common, observer) })
    };
    let report = job(&out("straight"), &Silent).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    pool.install(|| {
        for stop in [3, 8] {
            let attempt = std::panic::AssertUnwindSafe(|| job(&out("killed"), &StopAt(stop)));
            assert!(std::panic::catch_unwind(attempt).is_err());
        }
        assert_eq!(job(&out("killed"), &Silent).unwrap(), report, "{name}");
    });
    let mut names: Vec<_> =
        std::fs::read_dir(out("straight")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.retain(|name| name != "checkpoints");
    for file in names {
        let read = |run: &str| std::fs::read(out(run).join(&file)).unwrap();
        assert_eq!(read("straight"), read("killed"), "{name}: {}", file.display());
    }
    // One that has ended is not done again; another one is refused.
    assert_eq!(job(&out("straight"), &Silent).unwrap(), report);
    let other = Common { learning_rate: Some(0.5), ..common.clone() };
    let straight = out("straight");
    let told = way(&Job { merge, ..course(&base, &straight, &other, &Silent) }).unwrap_err().to_string();
    assert!(told.contains("`learning_rate`"), "{told}");
    // Begun anew it is the other one, and the first again.
    let anew =
        |common| way(&Job { merge, restart: true, ..course(&base, &straight, common, &Silent) }).unwrap();
    assert!(anew(&other).settings["learning_rate"] == "0.5" && anew(common) == report);
    report
}

#[test]
fn a_training_goes_on_from_an_adapter_and_never_over_its_base() {
    let folder = Folder::new("from-adapter");
    base(&folder.0);
    let [data, base, adapter] = ["dataset", "base", "adapter"].map(|name| folder.0.join(name));
    let common = Common { steps: 2, batch_rows: Some(4), lora_rank: 2, ..Common::default() };
    dpo::dpo(&course(&base, &adapter, &common, &Silent), &pairs(), &Dpo::default()).unwrap();
    let config = Config {
        steps: 2,
        eval_every: 0,
        init_from: schemas::FilePath(adapter.clone()),
        ..small(Architecture::Llama)
    };
    assert_eq!(crate::train::run(&data, &folder.0.join("further"), &config, &Silent).unwrap().steps, 2);
    let anew = crate::train::How { restart: true, ..Default::default() };
    let error = crate::train::run_with(anew, &data, &base, &config, &Silent).unwrap_err().to_string();
    assert!(
        error.contains("an adapter of the model there") && base.join("training.json").is_file(),
        "{error}"
    );
    // What an alignment made is taken away by none but an alignment, and what a training made by a training.
    let plain = Config { init_from: schemas::FilePath::default(), ..config };
    let error = crate::train::run_with(anew, &data, &adapter, &plain, &Silent).unwrap_err().to_string();
    assert!(error.contains("holds an alignment") && adapter.join("training.json").is_file(), "{error}");
    let further = folder.0.join("further");
    let over = Job { restart: true, ..course(&base, &further, &common, &Silent) };
    let error = dpo::dpo(&over, &pairs(), &Dpo::default()).unwrap_err().to_string();
    assert!(error.contains("holds a training"), "{error}");
}

#[test]
fn courses_resume_to_the_same_bytes_and_raise_their_scores() {
    let folder = Folder::new("courses");
    base(&folder.0);
    let common = Common {
        steps: 20,
        batch_rows: Some(4),
        accumulate: 2,
        learning_rate: Some(0.02),
        checkpoint_every: 4,
        dropout: 0.1,
        ..Common::default()
    };
    let lora = Common { lora_rank: 4, lora_alpha: 8.0, ..common.clone() };
    let data = folder.0.join("chats");
    chats(&data);

    let sft = resumes(&folder.0, "sft", &lora, false, &|job| super::sft::sft(job, &data));
    // So few rows are learned by heart; what is held out says nothing.
    assert!(sft.loss < 0.7 * sft.before["loss"], "{sft:?}");
    folder::load(&folder.0.join("sft-straight")).unwrap();

    let better = pairs();
    let dpo = resumes(&folder.0, "dpo", &lora, true, &|job| dpo::dpo(job, &better, &Dpo::default()));
    assert_eq!(dpo.before["accuracy"], 0.5, "{dpo:?}");
    assert!(dpo.after["accuracy"] > 0.9 && dpo.after["margin"] > 0.0, "{dpo:?}");
    assert!((dpo.before["loss"] - std::f64::consts::LN_2).abs() < 1e-6, "{dpo:?}");

    let reward = resumes(&folder.0, "reward", &lora, false, &|job| super::reward::reward(job, &better));
    assert!(reward.after["accuracy"] > 0.8, "{reward:?}");
    assert!(!folder.0.join("reward-straight").join(super::adapter::ADAPTER).exists());
    let told = folder::load(&folder.0.join("reward-straight")).unwrap_err().to_string();
    assert!(told.contains("this is a reward model"), "{told}");

    let rules = Rules { reward_regex: 1.0, regex: "^[A-Z]".into(), ..Rules::default() };
    let settings = Grpo { group: 4, tokens_max: 2, updates: 2, ..Grpo::default() };
    let tasks = tasks();
    let grpo = |job: &Job<'_>| super::grpo::grpo(job, &tasks, &settings, &rules, None);
    let common = Common { dropout: 0.0, ..common };
    let earned = resumes(&folder.0, "grpo", &common, false, &grpo);
    assert!(earned.after["reward"] > earned.before["reward"] + 0.2, "{earned:?}");

    // Checkpoints are due inside of rounds and come behind them.
    let uneven = Common { steps: 8, checkpoint_every: 3, checkpoints_keep: 9, ..common.clone() };
    let out = folder.0.join("uneven");
    grpo(&course(&folder.0.join("base"), &out, &uneven, &Silent)).unwrap();
    let mut steps: Vec<_> =
        std::fs::read_dir(out.join("checkpoints")).unwrap().map(|e| e.unwrap().file_name()).collect();
    steps.sort_unstable();
    assert_eq!(steps, ["step-000000004", "step-000000006", "step-000000008"]);

    let judge = folder.0.join("reward-straight");
    let by_model = Rules { reward_model: 1.0, ..Rules::default() };
    let scored = super::score::score(&folder.0.join("base"), &tasks, &by_model, Some(&judge), 2).unwrap();
    assert_eq!(scored.len(), tasks.held_out.len());

    // A reward model that cannot read what the model writes is refused before the first answer.
    let score =
        |tokens_max| super::score::score(&folder.0.join("base"), &tasks, &by_model, Some(&judge), tokens_max);
    let told = score(100).unwrap_err().to_string();
    assert!(told.contains("reads 15 tokens") && told.contains("allow 13 tokens"), "{told}");
    let path = judge.join(schemas::manifest::TOKENIZER);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.push(b'\n');
    std::fs::write(&path, bytes).unwrap();
    let told = score(2).unwrap_err().to_string();
    assert!(told.contains("another tokenizer"), "{told}");
}

#[test]
fn few_rows_are_read_in_small_steps_and_many_passes() {
    let check = |common: Common, rows: u64, expected: (u64, u64, u64)| {
        let settled = common.over_few(rows);
        let found = (settled.batch_rows(), settled.epochs.unwrap(), settled.steps_over(rows));
        assert_eq!(found, expected, "{rows} rows");
    };
    check(Common::default(), 3, (1, 10, 30));
    check(Common::default(), 50, (3, 6, 100));
    check(Common::default(), 128, (8, 7, 112));
    check(Common::default(), 5000, (8, 1, 625));
    // What was set stays, and the rest goes by it.
    check(Common { epochs: Some(1), ..Common::default() }, 50, (3, 1, 17));
    check(Common { batch_rows: Some(8), ..Common::default() }, 50, (8, 10, 63));
    check(Common { accumulate: 2, ..Common::default() }, 64, (2, 7, 112));
    check(Common { steps: 9, ..Common::default() }, 50, (3, 6, 9));
}

#[test]
fn an_unset_rate_is_a_third_of_that_of_the_model() {
    let folder = Folder::new("rate");
    let write = |told: &str| std::fs::write(folder.0.join("training.json"), told).unwrap();
    let rate = |common: Common| common.rate_of(&folder.0).learning_rate();
    assert_eq!(rate(Common::default()), 0.0001);
    write(r#"{"settings": {"learning_rate": "0.005"}}"#);
    assert_eq!(rate(Common::default()), 0.00167);
    assert_eq!(rate(Common { learning_rate: Some(0.1), ..Common::default() }), 0.1);
    write(r#"{"method": "sft", "settings": {"learning_rate": "0.002"}}"#);
    assert_eq!(rate(Common::default()), 0.002);
}

/// Pairs whose better answer begins as the worse one does: DPO lets both become less likely, and the weight keeps the better one.
#[test]
fn a_weight_on_the_better_answers_keeps_them_likely() {
    let folder = Folder::new("chosen-weight");
    base(&folder.0);
    let base = folder.0.join("base");
    let common =
        Common { epochs: Some(12), batch_rows: Some(8), learning_rate: Some(0.01), ..Common::default() };
    let pair = |at: u32| Pair {
        line: u64::from(at) + 1,
        prompt: vec![at % 20 + 1],
        chosen: vec![at % 20 + 2, at % 20 + 3, 0],
        rejected: vec![at % 20 + 2, at % 20 + 4, 0],
    };
    let (held_out, train) = (0..60).map(pair).partition(|pair: &Pair| pair.line > 40);
    let rows = Rows { name: "pairs".into(), hash: [9; 32], train, held_out, end: 0 };
    let ended = |chosen_weight: f64| {
        let out = folder.0.join(format!("out-{chosen_weight}"));
        let job = course(&base, &out, &common, &Silent);
        dpo::dpo(&job, &rows, &Dpo { chosen_weight, beta: 0.5, ..Dpo::default() }).unwrap()
    };
    let [alone, kept] = [0.0, 1.0].map(ended);
    assert_eq!(alone.before["chosen_loss"], kept.before["chosen_loss"]);
    assert!(kept.after["chosen_loss"] < kept.before["chosen_loss"], "{kept:?}");
    assert!(kept.after["chosen_loss"] < 0.9 * alone.after["chosen_loss"], "{alone:?} {kept:?}");
    assert!(kept.after["accuracy"] > 0.8, "{kept:?}");
}

#[test]
fn an_aligned_model_begins_with_the_token_that_it_learned_to_begin_with() {
    let folder = Folder::new("begin");
    base(&folder.0);
    let (base, out) = (folder.0.join("base"), folder.0.join("out"));
    let common = Common { steps: 4, learning_rate: Some(0.02), ..Common::default() };
    let job = course(&base, &out, &common, &Silent);
    let rows = Rows { end: 9, ..pairs() };
    let settings = Dpo::default();
    let report = dpo::dpo(&job, &rows, &settings).unwrap();
    let after = folder::load(&out).unwrap();
    assert_eq!(after.shape.eos, 9);
    let mut before = folder::load(&base).unwrap();
    assert_ne!(before.shape.eos, 9);
    before.shape.eos = 9;
    // What the folder's own reader computes is what the course measured.
    let [now, then] = [&after, &before].map(|model| dpo::scores(model, &rows.held_out, &settings).unwrap());
    let margin = |both: [f64; 2]| both[0] - both[1];
    let margins: f64 = now.iter().zip(&then).map(|(now, then)| margin(*now) - margin(*then)).sum();
    let expected = settings.beta * margins / rows.held_out.len() as f64;
    assert!((report.after["margin"] - expected).abs() < 1e-5, "{report:?} {expected}");
}

#[test]
fn rows_that_do_not_fit_are_told_by_their_line() {
    let folder = Folder::new("unfit");
    base(&folder.0);
    let common = Common::default();
    let (base, out) = (folder.0.join("base"), folder.0.join("out"));
    let job = course(&base, &out, &common, &Silent);
    let over = Job { out: &base, ..job };
    let told = dpo::dpo(&over, &pairs(), &Dpo::default()).unwrap_err().to_string();
    assert!(told.contains("which would be written over"), "{told}");
    let mut long = pairs();
    long.train[3].chosen = vec![5; 40];
    let told = dpo::dpo(&job, &long, &Dpo::default()).unwrap_err().to_string();
    assert_eq!(told, "pairs, line 5: 42 tokens are more than the model's context of 16");
    let none = Rows { train: vec![], ..tasks() };
    let told =
        super::grpo::grpo(&job, &none, &Grpo::default(), &Rules::default(), None).unwrap_err().to_string();
    assert_eq!(told, "tasks: no row is left to learn from");
    let grpo = |job: &Job<'_>, rows: &Rows<Task>| {
        super::grpo::grpo(job, rows, &Grpo::default(), &Rules::default(), None).unwrap_err().to_string()
    };
    let dropped = Common { dropout: 0.1, ..Common::default() };
    let told = grpo(&Job { common: &dropped, ..job }, &tasks());
    assert!(told.contains("`dropout` has to be 0"), "{told}");
    let mut full = tasks();
    full.train[0].prompt = vec![5; 15];
    assert!(grpo(&job, &full).contains("17 tokens are more"), "{}", grpo(&job, &full));
    let told = super::reward::open(&base).err().unwrap().to_string();
    assert!(told.contains("`gristmill align reward` makes one"), "{told}");
    assert!(!out.exists());
}

#[test]
fn answers_are_told_from_the_rest_or_nothing_is_taught() {
    let folder = Folder::new("mute");
    base(&folder.0);
    let common = Common { steps: 4, batch_rows: Some(8), checkpoint_every: 0, ..Common::default() };
    let told = Heard::default();
    let teach = |dataset: &str| {
        let (base, out) = (folder.0.join("base"), folder.0.join(format!("of-{dataset}")));
        let job = course(&base, &out, &common, &told);
        super::sft::sft(&job, &folder.0.join(dataset))
    };
    let error = teach("dataset").unwrap_err().to_string();
    assert!(error.contains("no `loss_mask`") && error.contains("tokenize.chat"), "{error}");
    chats_with(&folder.0.join("none"), &|_| false);
    let error = teach("none").unwrap_err().to_string();
    assert!(error.contains("none of its 33 training sequences"), "{error}");
    // Of four steps of eight rows each none is of sequences that teach nothing.
    chats_with(&folder.0.join("some"), &|row| row % 3 == 0);
    assert!(teach("some").unwrap().loss > 0.1);
    let told = told.0.into_inner().unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("22 of 33 training sequences hold no token of an answer"), "{told:?}");
}

/// Keeps what a person is told.
#[derive(Default)]
struct Heard(std::sync::Mutex<Vec<String>>);

impl TrainObserver for Heard {
    fn event(&self, event: TrainEvent<'_>) {
        if let TrainEvent::Note { message } = event {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
}
