//! What a training meets on bad days: each time a clear error, or the last good checkpoint and a note.

use super::small;
use crate::TrainError;
use crate::checkpoint::Held;
use crate::config::{Architecture, Config};
use crate::data::Dataset;
use crate::eval::perplexity::Bytes;
use crate::progress::{Silent, TrainEvent, TrainObserver};
use crate::testing::{Folder, VOCAB, add_documents, dataset, dataset_of};
use crate::train::{How, TrainReport, Training, run, run_with};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

fn config(steps: u64) -> Config {
    Config {
        steps,
        batch_sequences: 2,
        checkpoint_every: 2,
        checkpoints_keep: 3,
        eval_every: 0,
        layers: 1,
        ..small(Architecture::Llama)
    }
}

fn refused(result: Result<TrainReport, TrainError>, expected: &[&str]) {
    let error = result.unwrap_err().to_string();
    assert!(expected.iter().all(|part| error.contains(part)), "{error}");
}

/// A folder with a dataset, and where its model goes.
fn prepared(name: &str) -> (Folder, PathBuf, PathBuf) {
    let folder = Folder::new(name);
    let (data, out) = (folder.0.join("dataset"), folder.0.join("out"));
    dataset(&data);
    (folder, data, out)
}

#[test]
fn two_trainings_do_not_work_in_one_folder() {
    let (_folder, data, out) = prepared("two-at-once");
    run(&data, &out, &config(2), &Silent).unwrap();
    let held = Held::take(&out).unwrap();
    let busy = ["another training is at work in this folder"];
    refused(run(&data, &out, &config(2), &Silent), &busy);
    let anew = How { restart: true, ..How::default() };
    refused(run_with(anew, &data, &out, &config(3), &Silent), &busy);
    assert!(out.join("training.json").is_file() && out.join("checkpoints/step-000000002").is_dir());
    drop(held);
    assert_eq!(run_with(anew, &data, &out, &config(3), &Silent).unwrap().steps, 3);
}

#[test]
fn a_training_that_is_asked_to_stop_leaves_a_checkpoint_and_goes_on_to_the_same_bytes() {
    static STOP: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(true);
    let (folder, data, out) = prepared("asked-to-stop");
    let stopped = How { stop: Some(&STOP), ..How::default() };
    for step in 1..=2 {
        let error = run_with(stopped, &data, &out, &config(3), &Silent).unwrap_err();
        assert!(matches!(error, TrainError::Interrupted { step: at, steps: 3 } if at == step), "{error}");
    }
    let straight = folder.0.join("straight");
    run(&data, &straight, &config(3), &Silent).unwrap();
    // The last step ends it.
    run_with(stopped, &data, &out, &config(3), &Silent).unwrap();
    for file in ["model.safetensors", "training.json", "metrics.jsonl"] {
        assert_eq!(fs::read(out.join(file)).unwrap(), fs::read(straight.join(file)).unwrap(), "{file}");
    }
}

#[test]
fn without_held_out_rows_a_training_ends_and_an_evaluation_says_why_it_cannot() {
    let (_folder, data, out) = prepared("no-held-out");
    fs::remove_dir_all(&data).unwrap();
    dataset_of(&data, "tiny", VOCAB, 0);
    let report = run(&data, &out, &Config { eval_every: 1, ..config(3) }, &Silent).unwrap();
    assert_eq!((report.validation_loss, report.bits_per_byte, report.steps), (None, None, 3));
    let error = crate::eval::perplexity::perplexity(&out, &data).unwrap_err().to_string();
    assert_eq!(error, "the dataset has no held-out sequences");
}

#[test]
fn a_batch_larger_than_the_dataset_takes_rows_of_the_next_passes() {
    let (_folder, data, out) = prepared("large-batch");
    let report = run(&data, &out, &Config { batch_sequences: 80, ..config(2) }, &Silent).unwrap();
    assert_eq!(report.tokens, 2 * 80 * 16);
    let state = fs::read_to_string(out.join("checkpoints/step-000000002/state.json")).unwrap();
    // 160 rows of 33 are four passes and 28 rows.
    let position: serde_json::Value = serde_json::from_str(&state).unwrap();
    let manifest = blake3::hash(&fs::read(data.join("manifest.json")).unwrap()).to_hex().to_string();
    let expected =
        serde_json::json!({ "dataset": manifest, "seed": config(2).seed, "epoch": 4, "sample": 28 });
    assert_eq!(position["position"], expected);
}

#[test]
fn a_checkpoint_of_another_dataset_is_refused_with_both_names() {
    let (folder, data, out) = prepared("other-dataset");
    run(&data, &out, &config(2), &Silent).unwrap();
    let other = folder.0.join("other");
    dataset_of(&other, "novels", VOCAB, 3);
    let names = ["the dataset was `tiny` (", "), is `novels` ("];
    refused(run(&other, &out, &config(4), &Silent), &names);
    // One of the same name and other rows is another too.
    dataset_of(&other, "tiny", VOCAB, 3);
    refused(run(&other, &out, &config(4), &Silent), &["the dataset was `tiny` (", "), is `tiny` ("]);
    run(&data, &out, &config(2), &Silent).unwrap();
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let (folder, data, out) = prepared("vocabulary");
    dataset_of(&data, "tiny", VOCAB - 7, 3);
    let expected = ["tokenizer.json: has the token 256", "a vocabulary of 250"];
    refused(run(&data, &out, &config(2), &Silent), &expected);
    // A larger vocabulary than the tokenizer's is padding, as models often have it.
    dataset_of(&data, "tiny", VOCAB + 7, 3);
    run(&data, &out, &config(2), &Silent).unwrap();
    let sampler = crate::generate::Sampler::open(&out).unwrap();
    sampler.generate("abc", &crate::generate::Sampling::default()).unwrap();
    // The tokenizer of another model in a model's folder, and a dataset of it.
    let text = fs::read_to_string(out.join("tokenizer.json")).unwrap();
    fs::write(out.join("tokenizer.json"), text.replace("\"!\":1,", "\"!\":1000,")).unwrap();
    let error = crate::generate::Sampler::open(&out).err().unwrap().to_string();
    assert!(error.contains("has the token 1000, the model a vocabulary of 264"), "{error}");
    let other = folder.0.join("other");
    dataset_of(&other, "tiny", VOCAB, 3);
    let error = crate::eval::perplexity::perplexity(&out, &other).unwrap_err().to_string();
    assert!(error.contains("vocabulary 264, the dataset 16 and 257"), "{error}");
}

/// Keeps what a training notes.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl TrainObserver for Notes {
    fn event(&self, event: TrainEvent<'_>) {
        match event {
            TrainEvent::Note { message } => self.0.lock().unwrap().push(message.into()),
            TrainEvent::Started { step, .. } => self.0.lock().unwrap().push(format!("from {step}")),
            _ => {}
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

type Damage = fn(Vec<u8>) -> Option<Vec<u8>>;

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before_it() {
    let (folder, data, out) = prepared("damaged");
    let whole = run(&data, &folder.0.join("whole"), &config(6), &Silent).unwrap();
    copy(&folder.0.join("whole/checkpoints"), &out.join("checkpoints"));
    fs::remove_dir_all(out.join("checkpoints/step-000000006")).unwrap();
    let kept = folder.0.join("kept");
    copy(&out, &kept);
    let damages: [(&str, Damage); 5] = [
        ("cut", |bytes| Some(bytes[..bytes.len() / 2].to_vec())),
        ("empty", |_| Some(Vec::new())),
        ("altered", |mut bytes| {
            let at = bytes.len() * 2 / 3;
            bytes[at] ^= 1;
            Some(bytes)
        }),
        ("longer", |bytes| Some([bytes, b"\n".to_vec()].concat())),
        ("absent", |_| None),
    ];
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        for (what, damage) in damages {
            fs::remove_dir_all(&out).unwrap();
            copy(&kept, &out);
            let path = out.join("checkpoints/step-000000004").join(file);
            match damage(fs::read(&path).unwrap()) {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let notes = Notes::default();
            assert_eq!(run(&data, &out, &config(6), &notes).unwrap(), whole, "{file} {what}");
            let notes = notes.0.into_inner().unwrap();
            assert!(notes[0].starts_with("checkpoint passed over: ") && notes[0].contains(file), "{notes:?}");
            assert_eq!(notes[1..], ["from 2"], "{file} {what}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_layout_is_refused_and_kept() {
    let (_folder, data, out) = prepared("layout");
    run(&data, &out, &config(2), &Silent).unwrap();
    let path = out.join("checkpoints/step-000000002/state.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"version\": 3", "\"version\": 2")).unwrap();
    refused(run(&data, &out, &config(4), &Silent), &["step-000000002", "has layout 2", "writes 3", "--out"]);
    assert!(path.is_file());
}

#[test]
fn a_step_altered_in_the_state_is_noticed_and_a_training_without_a_whole_checkpoint_begins_anew() {
    let (_folder, data, out) = prepared("state");
    let whole = run(&data, &out, &config(2), &Silent).unwrap();
    let path = out.join("checkpoints/step-000000002/state.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"sample\": 4", "\"sample\": 5")).unwrap();
    let notes = Notes::default();
    assert_eq!(run(&data, &out, &config(2), &notes).unwrap(), whole);
    let notes = notes.0.into_inner().unwrap();
    assert!(notes[0].contains("state.json: the file is damaged"), "{notes:?}");
    assert_eq!(notes[1..], ["no checkpoint is whole; the training begins anew", "from 0"]);
}

#[test]
fn a_loss_that_is_no_number_stops_and_leaves_the_last_good_checkpoint() {
    let (_folder, data, out) = prepared("nan");
    add_documents(&data, &[("d0", Some("https://a.test/"), "a.jsonl:1")]);
    // Decay at rate × weight 100 multiplies every matrix by −99 a step, without end.
    let wild = Config {
        learning_rate: 10.0,
        learning_rate_min: Some(10.0),
        weight_decay: 10.0,
        spike_factor: 0.0,
        ..config(1000)
    };
    let error = run(&data, &out, &wild, &Silent).unwrap_err();
    let TrainError::Stopped(stop) = &error else { panic!("{error}") };
    let step = stop.step - 1;
    assert!(step > 2 && error.to_string().contains("not a finite number; the step was not taken"), "{error}");
    let first = ("d0".to_owned(), Some("https://a.test/".to_owned()));
    assert_eq!((stop.documents_count, &stop.documents[0]), (2, &first));
    assert!(error.to_string().contains("d0  https://a.test/\n"), "{error}");
    let mut found: Vec<_> =
        fs::read_dir(out.join("checkpoints")).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort_unstable();
    let last = found.pop().unwrap();
    assert!(last.ends_with(format!("step-{:09}", step / 2 * 2)), "{} after {step}", last.display());
    assert_eq!(stop.checkpoint.as_ref(), Some(&last));
    let data = Dataset::open(&data).unwrap();
    let training = Training::open(
        (&data, Bytes::of_dataset(&data).unwrap()),
        Held::take(&out).unwrap(),
        &wild,
        crate::device::Place::Cpu,
        &Silent,
    )
    .unwrap();
    let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
    assert!(training.model.parameters.iter().all(|p| p.read(finite).unwrap()));
}

#[test]
fn a_loss_that_leaps_stops_and_goes_on_where_it_is_allowed_to() {
    let (_folder, data, out) = prepared("spike");
    // A rate that is good for the first steps and far too high at the end.
    let wild = |spike_factor| Config {
        learning_rate: 0.01,
        learning_rate_min: Some(10.0),
        warmup_steps: Some(0),
        batch_sequences: 8,
        spike_factor,
        ..config(200)
    };
    let error = run(&data, &out, &wild(1.2), &Silent).unwrap_err();
    let TrainError::Stopped(stop) = &error else { panic!("{error}") };
    assert!(matches!(stop.cause, crate::train::Cause::Spike { .. }) && stop.step > 16, "{error}");
    assert!(error.to_string().contains("go on with `spike_factor` = 0"), "{error}");
    // A resume knows the losses before it, and stops at the same step.
    assert_eq!(run(&data, &out, &wild(1.2), &Silent).unwrap_err().to_string(), error.to_string());
    // Whether it ends or comes to no number is another matter.
    match run(&data, &out, &wild(0.0), &Silent) {
        Ok(report) => assert_eq!(report.steps, 200),
        Err(TrainError::Stopped(later)) => assert!(later.step > stop.step, "{later}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_loss_that_blows_up_in_the_first_steps_stops_with_the_report_of_a_spike() {
    let (_folder, data, out) = prepared("blow-up");
    let wild =
        Config { learning_rate: 10.0, learning_rate_min: Some(10.0), warmup_steps: Some(0), ..config(40) };
    let error = run(&data, &out, &wild, &Silent).unwrap_err();
    let TrainError::Stopped(stop) = &error else { panic!("{error}") };
    let crate::train::Cause::Spike { loss, median } = stop.cause else { panic!("{error}") };
    assert!(stop.step <= 16 && loss > 2.0 * median && stop.documents_count > 0, "{error}");
}

#[test]
fn held_out_loss_is_told_by_source_and_adds_up() {
    let (_folder, data, out) = prepared("sources");
    add_documents(
        &data,
        &[
            ("d0", None, "a.jsonl:7"),
            ("d1", Some("https://b.test/x"), "crawl.warc.gz:900"),
            ("e", None, "c:1"),
        ],
    );
    let report = run(&data, &out, &config(4), &Silent).unwrap();
    let names: Vec<&str> = report.sources.iter().map(|found| found.source.as_str()).collect();
    assert_eq!(names, if names[0] == "a.jsonl" { ["a.jsonl", "b.test"] } else { ["b.test", "a.jsonl"] });
    let tokens: u64 = report.sources.iter().map(|found| found.tokens).sum();
    let nats: f64 = report.sources.iter().map(|found| found.loss * found.tokens as f64).sum();
    assert!((nats / tokens as f64 - report.validation_loss.unwrap()).abs() < 1e-9, "{report:?}");
    let metrics = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    assert!(metrics.lines().last().unwrap().contains("\"a.jsonl\":{"), "{metrics}");
    let traced = crate::trace::trace(&out, &data, 1..=1).unwrap();
    assert_eq!(traced[0].pieces[1].url.as_deref(), Some("https://b.test/x"));
    // Documents that cannot be read are noted, and nothing else changes.
    fs::remove_dir_all(data.join("documents")).unwrap();
    let notes = Notes::default();
    let alone = run(&data, &out.with_file_name("alone"), &config(4), &notes).unwrap();
    assert!(notes.0.into_inner().unwrap()[1].starts_with("held-out loss is not told by source"));
    assert_eq!((alone.validation_loss, alone.sources.len()), (report.validation_loss, 0));
}

#[test]
fn a_training_goes_on_from_a_model_that_fits_and_is_refused_another() {
    let (folder, data, out) = prepared("initial");
    let first = run(&data, &out, &config(40), &Silent).unwrap();
    let from = |folder: &Path| schemas::FilePath(folder.to_owned());
    let on =
        Config { init_from: from(&out), learning_rate: 1e-5, learning_rate_min: Some(1e-5), ..config(1) };
    let second = run(&data, &folder.0.join("second"), &on, &Silent).unwrap();
    assert!((second.validation_loss.unwrap() - first.validation_loss.unwrap()).abs() < 0.01, "{second:?}");
    assert!(second.initial.is_some() && first.initial.is_none());
    let other = Config { width: 32, ff_width: 40, ..on.clone() };
    let third = folder.0.join("third");
    refused(
        run(&data, &third, &other, &Silent),
        &["the model does not fit: `width` is 16 there, 32 here, `ff_width` is 24 there, 40 here"],
    );
    // Another model under the same name is another training; so is one of drawn tensors.
    let moved = folder.0.join("moved");
    copy(&out, &moved);
    run(&data, &folder.0.join("second"), &Config { init_from: from(&moved), ..on.clone() }, &Silent).unwrap();
    let drawn = run(&data, &folder.0.join("second"), &config(1), &Silent);
    refused(drawn, &["the model to go on from was ", "is none"]);
    fs::write(moved.join("tokenizer.json"), b"{}").unwrap();
    refused(run(&data, &third, &Config { init_from: from(&moved), ..on }, &Silent), &["its tokenizer is "]);
}

#[test]
fn a_missing_shard_is_named() {
    let (_folder, data, out) = prepared("missing");
    fs::remove_file(data.join("tokens/train/part-00001.parquet")).unwrap();
    refused(run(&data, &out, &config(2), &Silent), &["train/part-00001.parquet: ", "No such file"]);
}
