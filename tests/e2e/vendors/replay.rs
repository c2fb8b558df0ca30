use super::{RUN, asking, the, turn};
use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Event, Speech, Vendor, Wire};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        what_a_vendor_signed_goes_back_word_for_word_after_a_crash;
        a_conversation_goes_on_with_another_vendor_as_text_and_calls;
        a_conversation_that_is_too_long_is_shown_by_half_once;
        a_conversation_that_stays_too_long_is_given_up;
    ]
}

fn command(line: &str) -> serde_json::Value {
    json!({ "command": line })
}

async fn what_a_vendor_signed_goes_back_word_for_word_after_a_crash(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        // As vendors write it: long, and full of what encodings like to change.
        let seal = format!("{}+/=\u{e4}\"\\ {wire:?}", "c2lnbmVk".repeat(400));
        let spoken = Speech::text("Let me look.").sealed(&seal).and_call("call_1", RUN, command("echo 4711"));
        let vendor = Vendor::scripted([wire.say(&spoken), wire.say(&Speech::text("It says 4711."))]).await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        let session = client.session().to_owned();
        client.say("What does it say?").await?;
        let asks = |event: &Event| matches!(event.name.as_str(), "tool:approval_required" | "turn:completed");
        let asks = client.until_matching("the question", asks).await?;
        let call =
            asks.call().with_context(|| format!("{wire:?}: {:?}", client.journal().last_chunk::<3>()))?.to_owned();

        let server = server.crash().await?.start().await?;
        let mut client = server.connect().session(&session).open().await?;
        client.approve(&call, true).await?;
        let output = client.until("tool:output").await?;
        ensure!(stdout(&output).contains("4711"), "{wire:?}: {output:?}");
        let answer = client.until("agent:response").await?;
        ensure!(answer.text().contains("It says 4711."), "{wire:?}: {answer:?}");

        let asked = vendor.until_asked(2).await?;
        ensure!(asked.iter().all(|asked| wire.is_line(&asked.line)), "{wire:?}: {asked:?}");
        for sealed in wire.sealed(&spoken) {
            ensure!(asked[1].holds(&sealed), "{wire:?} did not get back {sealed}, but {}", asked[1].body);
        }
        ensure!(asked[1].says("4711") && asked[1].says("call_1"), "{wire:?}: {}", asked[1].body);
        ensure!(asked[1].body["tools"] == asked[0].body["tools"], "{wire:?} was shown other tools");
        server.crash().await?;
    }
    Ok(())
}

async fn a_conversation_goes_on_with_another_vendor_as_text_and_calls(ground: Rc<Ground>) -> Result<()> {
    let mut session = String::new();
    let mut told: Vec<String> = Vec::new();
    // Each follows each other one, and one of another format of the same vendor.
    let orders = [Wire::Claude, Wire::Responses, Wire::Gemini, Wire::Claude, Wire::Chat, Wire::Responses, Wire::Claude];
    for (round, wire) in orders.into_iter().enumerate() {
        let (line, answer) = (format!("echo result-{round}"), format!("answer-{round}"));
        let seal = format!("c2VhbC1vZi1yb3VuZC0{round}");
        let call = Speech::default().sealed(&seal).and_call(&format!("id_{round}"), RUN, command(&line));
        let last = Speech::text(&answer).sealed(&format!("{seal}-end"));
        let vendor = Vendor::scripted([wire.say(&call), wire.say(&last)]).await?;
        let mut server = asking(&ground, wire, &vendor).start().await?;
        let connect = if session.is_empty() { server.connect() } else { server.connect().session(&session) };
        let mut client = connect.open().await?;
        client.session().clone_into(&mut session);
        let events = turn(&mut client, &format!("question-{round}")).await?;
        ensure!(the(&events, "agent:response")?.text() == answer, "{wire:?}: {events:?}");
        ensure!(the(&events, "turn:completed")?.payload["stopReason"] == "end_turn", "{wire:?}: {events:?}");

        let asked = vendor.asked();
        ensure!(asked.len() == 2, "{wire:?} was asked {} times: {:?}", asked.len(), client.journal());
        for words in &told {
            ensure!(asked[0].says(words), "{wire:?} was not told {words:?}: {}", asked[0].body);
        }
        let of_others = round.checked_sub(1).map(|last| format!("c2VhbC1vZi1yb3VuZC0{last}"));
        let foreign = of_others.is_some_and(|seal| asked[0].says(&seal));
        ensure!(!foreign, "{wire:?} got what another vendor sealed: {}", asked[0].body);
        told.extend([format!("question-{round}"), line, format!("result-{round}"), answer]);
        server.terminate()?;
        server.ended().await?;
    }
    Ok(())
}

/// A session with three turns behind it.
async fn after_three_turns(client: &mut Client) -> Result<()> {
    for n in 0..3 {
        turn(client, &format!("question {n}: {}", "what is the meaning of this? ".repeat(20))).await?;
    }
    Ok(())
}

async fn a_conversation_that_is_too_long_is_shown_by_half_once(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let answers = (0..3).map(|n| wire.say(&Speech::text(&format!("answer {n}: {}", "nobody knows. ".repeat(20)))));
        let vendor = Vendor::scripted(answers).await?;
        vendor.also([wire.too_long(), wire.say(&Speech::text("In short: no."))]);
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        after_three_turns(&mut client).await?;
        let events = turn(&mut client, "And the last question?").await?;
        let notice = the(&events, "system:message")?;
        ensure!(notice.text().contains("too long"), "{wire:?}: {notice:?}");
        ensure!(the(&events, "agent:response")?.text() == "In short: no.", "{wire:?}: {events:?}");
        let asked = vendor.asked();
        ensure!(asked.len() == 5, "{wire:?} was asked {} times", asked.len());
        let (refused, taken) = (wire.history(&asked[3]), wire.history(&asked[4]));
        ensure!(taken < refused && asked[4].says("And the last question?"), "{wire:?}: {refused}, then {taken}");
        let history = client.call_ok("history:get", json!({})).await?;
        ensure!(history.to_string().contains("question 0"), "{wire:?}: the history itself stays");
        server.crash().await?;
    }
    Ok(())
}

async fn a_conversation_that_stays_too_long_is_given_up(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let answers = (0..3).map(|n| wire.say(&Speech::text(&format!("answer {n}"))));
        let vendor = Vendor::scripted(answers).await?;
        vendor.also([wire.too_long(), wire.too_long()]);
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        after_three_turns(&mut client).await?;
        let events = turn(&mut client, "And the last question?").await?;
        let error = the(&events, "agent:error")?;
        ensure!(error.payload["code"] == "context_too_long", "{wire:?}: {error:?}");
        ensure!(error.payload["hint"].is_string(), "{wire:?} leaves the user without a way out: {error:?}");
        ensure!(vendor.asked().len() == 5, "{wire:?} was asked {} times", vendor.asked().len());
        server.crash().await?;
    }
    Ok(())
}
