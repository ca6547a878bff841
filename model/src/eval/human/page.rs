//! The sheet as one page that works without a network: a rater clicks, and saves the filled sheet as JSON lines.

use super::Row;

/// The page of a sheet. Nothing in it says which model wrote what.
pub fn page(rows: &[Row]) -> String {
    let rows = serde_json::to_string(rows).expect("texts are JSON");
    // `</script>` inside a text would end the script.
    PAGE.replace("ROWS", &rows.replace('<', "\\u003c"))
}

const PAGE: &str = r#"<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Which answer is better?</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
.prompt, .answer { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8888; border-radius: .4rem; padding: .6rem; }
.answers { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; margin: 1rem 0; }
fieldset { border: 0; padding: 0; } label { margin-right: 1.5rem; } input[type=text] { width: 100%; }
section { border-top: 2px solid #8888; padding: 1rem 0; } button { font: inherit; padding: .4rem 1rem; }
</style>
<h1>Which answer is better?</h1>
<p id="left" aria-live="polite"></p><main></main>
<p><button>Save the filled sheet</button></p>
<script>
const rows = ROWS;
const make = (tag, text, kind) => { const e = document.createElement(tag); e.textContent = text; if (kind) e.className = kind; return e; };
const tell = () => { document.getElementById("left").textContent = rows.filter(r => r.choice).length + " of " + rows.length + " rated"; };
for (const row of rows) {
  const section = make("section", ""), answers = make("div", "", "answers"), choice = make("fieldset", ""), comment = make("input", "");
  answers.append(make("div", row.answer_1, "answer"), make("div", row.answer_2, "answer"));
  choice.append(make("legend", row.row));
  for (const [value, name] of [["1", "the first"], ["=", "neither"], ["2", "the second"]]) {
    const label = make("label", ""), radio = make("input", "");
    radio.type = "radio"; radio.name = row.row; radio.value = value;
    radio.onchange = () => { row.choice = value; tell(); };
    label.append(radio, " " + name); choice.append(label);
  }
  comment.type = "text"; comment.placeholder = "remark"; comment.ariaLabel = "remark on " + row.row;
  comment.onchange = () => { row.comment = comment.value; };
  section.append(make("div", row.prompt, "prompt"), answers, choice, comment);
  document.querySelector("main").append(section);
}
document.querySelector("button").onclick = () => {
  const text = rows.map(r => JSON.stringify(r) + "\n").join("");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
  link.download = "ratings.jsonl"; link.click();
};
tell();
</script>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_the_script() {
        let text = "</script><b>".to_owned();
        let row = Row {
            row: "r1".into(),
            prompt: text.clone(),
            answer_1: text.clone(),
            answer_2: text,
            choice: String::new(),
            comment: String::new(),
        };
        let page = page(&[row]);
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(page.contains("\\u003c/script>"));
    }
}
