use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    script::{calls, run, script},
};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        an_output_of_any_size_arrives_exact_or_says_that_it_was_cut;
        a_files_bytes_arrive_exact;
    ]
}

async fn an_output_of_any_size_arrives_exact_or_says_that_it_was_cut(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    for size in [0, 1, 4095, 4096, 4097, 65_535, 65_536, 200_000, 1_000_000, 3_000_000] {
        client.say(&script(&[run(&format!("head -c {size} /dev/zero | tr '\\0' x"))])).await?;
        let call = client.until("tool:approval_required").await?.call().context("no call")?.to_owned();
        client.approve(&call, true).await?;
        let result =
            client.until_matching("a result", |e| matches!(e.name.as_str(), "tool:output" | "tool:error")).await?;
        ensure!(result.name == "tool:output", "{size} bytes: {result:?}");
        let text = stdout(&result);
        let exes = text.bytes().filter(|byte| *byte == b'x').count();
        let says_so = text.contains("bytes omitted");
        ensure!(exes >= size || says_so, "{size} bytes became {exes} without a word: {}", &text[..text.len().min(400)]);
        ensure!(size > 4096 || exes >= size, "{size} bytes must fit");
        client.until("turn:completed").await?;
    }
    Ok(())
}

async fn a_files_bytes_arrive_exact(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let mut client = server.connect().open().await?;
    // Every line is different, so that bytes that changed places are noticed.
    let lines: Vec<_> = (0..1_000).map(|n| format!("line {n} {}", "äöü€ ".repeat(n % 7))).collect();
    let content = lines.join("\n");
    let write = calls(&[("write_file", json!({ "path": "f.txt", "content": content }))]);
    let read = calls(&[("read_file", json!({ "path": "f.txt", "limit": 500 }))]);
    client.say(&script(&[write, read])).await?;
    let events = client.approve_all().await?;
    let read = events.iter().rfind(|event| event.name == "tool:output").context("no output")?;
    let text = stdout(read);
    for line in &lines[..500] {
        ensure!(text.contains(line.trim_end()), "{line:?} is missing or garbled");
    }
    Ok(())
}
