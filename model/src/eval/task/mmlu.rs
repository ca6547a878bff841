//! MMLU (arXiv 2009.03300): 57 subjects, four choices, of which the letter is asked.
//!
//! Rows: `question`, `choices` (four), `answer` (0 to 3), `subject`. `mmlu` is all of them, `mmlu_stem` and its like a group,
//! `mmlu_anatomy` a subject.

use super::{Ask, Item, Shots, Spec};
use crate::eval::rows::{number, text, texts};
use crate::eval::words::strip;
use serde_json::Value;

pub(super) const SPEC: Spec = Spec {
    name: "mmlu",
    summary: "knowledge of 57 subjects",
    rows: &["mmlu.test"],
    shots: Shots::First { from: &["mmlu.dev"] },
    measures: &["acc"],
    item,
};

const LETTERS: [&str; 4] = ["A", "B", "C", "D"];

/// The groups with their subjects; each subject begins with the name of the task.
pub(super) const GROUPS: [(&str, &[&str]); 4] = [
    (
        "mmlu_humanities",
        &[
            "mmlu_formal_logic",
            "mmlu_high_school_european_history",
            "mmlu_high_school_us_history",
            "mmlu_high_school_world_history",
            "mmlu_international_law",
            "mmlu_jurisprudence",
            "mmlu_logical_fallacies",
            "mmlu_moral_disputes",
            "mmlu_moral_scenarios",
            "mmlu_philosophy",
            "mmlu_prehistory",
            "mmlu_professional_law",
            "mmlu_world_religions",
        ],
    ),
    (
        "mmlu_other",
        &[
            "mmlu_business_ethics",
            "mmlu_clinical_knowledge",
            "mmlu_college_medicine",
            "mmlu_global_facts",
            "mmlu_human_aging",
            "mmlu_management",
            "mmlu_marketing",
            "mmlu_medical_genetics",
            "mmlu_miscellaneous",
            "mmlu_nutrition",
            "mmlu_professional_accounting",
            "mmlu_professional_medicine",
            "mmlu_virology",
        ],
    ),
    (
        "mmlu_social_sciences",
        &[
            "mmlu_econometrics",
            "mmlu_high_school_geography",
            "mmlu_high_school_government_and_politics",
            "mmlu_high_school_macroeconomics",
            "mmlu_high_school_microeconomics",
            "mmlu_high_school_psychology",
            "mmlu_human_sexuality",
            "mmlu_professional_psychology",
            "mmlu_public_relations",
            "mmlu_security_studies",
            "mmlu_sociology",
            "mmlu_us_foreign_policy",
        ],
    ),
    (
        "mmlu_stem",
        &[
            "mmlu_abstract_algebra",
            "mmlu_anatomy",
            "mmlu_astronomy",
            "mmlu_college_biology",
            "mmlu_college_chemistry",
            "mmlu_college_computer_science",
            "mmlu_college_mathematics",
            "mmlu_college_physics",
            "mmlu_computer_security",
            "mmlu_conceptual_physics",
            "mmlu_electrical_engineering",
            "mmlu_elementary_mathematics",
            "mmlu_high_school_biology",
            "mmlu_high_school_chemistry",
            "mmlu_high_school_computer_science",
            "mmlu_high_school_mathematics",
            "mmlu_high_school_physics",
            "mmlu_high_school_statistics",
            "mmlu_machine_learning",
        ],
    ),
];

/// The group or subject of a name.
pub(super) fn part(name: &str) -> Option<&'static str> {
    let groups = GROUPS.iter().map(|(group, _)| *group);
    groups.chain(GROUPS.iter().flat_map(|(_, subjects)| subjects.iter().copied())).find(|part| *part == name)
}

/// Whether a subject belongs to what was named: everything, a group, or itself.
pub(super) fn belongs(subject: &str, chosen: &str) -> bool {
    let group = GROUPS.iter().find(|(group, _)| *group == chosen);
    chosen == SPEC.name || chosen == subject || group.is_some_and(|(_, subjects)| subjects.contains(&subject))
}

fn item(row: &Value) -> Result<Item, String> {
    let subject = text(row, "subject")?;
    let part =
        part(&format!("mmlu_{subject}")).ok_or_else(|| format!("`subject` {subject:?} is none of MMLU"))?;
    let choices = texts(row, "choices")?;
    let [a, b, c, d] = choices.as_slice() else {
        return Err(format!("{} choices, expected 4", choices.len()));
    };
    let gold = number(row, "answer")?;
    let solved = LETTERS.get(gold).ok_or_else(|| format!("`answer` {gold} is none of 0 to 3"))?;
    let question = strip(text(row, "question")?);
    let context = format!("{question}\nA. {a}\nB. {b}\nC. {c}\nD. {d}\nAnswer:");
    let topic = subject.replace('_', " ");
    let description =
        format!("The following are multiple choice questions (with answers) about {topic}.\n\n");
    let letters = LETTERS.map(str::to_owned).to_vec();
    Ok(Item {
        part: part.to_owned(),
        description,
        solved: (*solved).to_owned(),
        query: question.to_owned(),
        ..Item::new(row, context, Ask::Choices { choices: letters, gold })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_become_questions_of_their_subject() {
        let row = json!({"subject": "us_foreign_policy", "question": " Who? ", "choices": ["a", "b", "c", "d"], "answer": 2});
        let item = item(&row).unwrap();
        assert_eq!(item.context, "Who?\nA. a\nB. b\nC. c\nD. d\nAnswer:");
        assert!(item.description.ends_with("about us foreign policy.\n\n"));
        assert_eq!((item.part.as_str(), item.solved.as_str()), ("mmlu_us_foreign_policy", "C"));
        let other = json!({"subject": "cooking", "question": "", "choices": [], "answer": 0});
        assert_eq!(super::item(&other).unwrap_err(), "`subject` \"cooking\" is none of MMLU");
    }

    #[test]
    fn every_subject_is_in_one_group() {
        let mut subjects: Vec<&str> =
            GROUPS.iter().flat_map(|(_, subjects)| subjects.iter().copied()).collect();
        subjects.sort_unstable();
        subjects.dedup();
        assert_eq!(subjects.len(), 57);
        assert!(belongs("mmlu_anatomy", "mmlu_stem") && belongs("mmlu_anatomy", "mmlu"));
        assert!(!belongs("mmlu_anatomy", "mmlu_other") && part("mmlu_cooking").is_none());
    }
}
