use super::{RUN, asking, shown, the, turn};
use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{End, Speech, Vendor, Wire};
use serde_json::json;
use std::rc::Rc;

pub(crate) fn cases() -> Vec<Case> {
    cases![
        what_a_turn_cost_is_told_with_its_cached_and_reasoning_tokens;
        an_early_end_reaches_the_client_by_its_name_and_runs_nothing;
        an_empty_answer_ends_the_turn;
        a_call_of_a_tool_that_is_not_there_goes_back_as_an_error;
    ]
}

async fn what_a_turn_cost_is_told_with_its_cached_and_reasoning_tokens(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let call = Speech::call("c", RUN, json!({ "command": "true" }));
        let vendor =
            Vendor::scripted([wire.say(&Speech::text("One.")), wire.say(&call), wire.say(&Speech::text("Two."))]);
        let vendor = vendor.await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        for (text, steps) in [("One step", 1), ("Two steps", 2)] {
            let events = turn(&mut client, text).await?;
            let usage = &the(&events, "turn:completed")?.payload["usage"];
            let one = Speech::usage();
            for (name, count) in one.as_object().context("counts")? {
                let expected = count.as_u64().map(|count| count * steps);
                ensure!(usage[name].as_u64() == expected, "{wire:?}: {name} of {steps} steps is {usage}");
            }
        }
        server.crash().await?;
    }
    Ok(())
}

async fn an_early_end_reaches_the_client_by_its_name_and_runs_nothing(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        for end in wire.early_ends() {
            let spoken = Speech::text("That far").end(*end);
            // A call beside a limit may lack some of its arguments.
            let limited = *end == End::MaxTokens;
            let args = json!({ "command": "touch ran" });
            let spoken = if limited { spoken.and_call("c", RUN, args) } else { spoken };
            let vendor = Vendor::scripted([wire.say(&spoken)]).await?;
            let server = asking(&ground, wire, &vendor).start().await?;
            let mut client = server.connect().open().await?;
            let events = turn(&mut client, "Go on").await?;
            let completed = the(&events, "turn:completed")?;
            ensure!(completed.payload["stopReason"] == end.reason(), "{wire:?} {end:?}: {completed:?}");
            ensure!(shown(&events).contains("That far"), "{wire:?} {end:?}: {events:?}");
            ensure!(!events.iter().any(|event| event.name.starts_with("tool:")), "{wire:?} {end:?}: {events:?}");
            ensure!(vendor.asked().len() == 1, "{wire:?} {end:?}: asked {} times", vendor.asked().len());
            server.crash().await?;
        }
    }
    Ok(())
}

async fn an_empty_answer_ends_the_turn(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let vendor = Vendor::scripted([wire.say(&Speech::default()), wire.say(&Speech::text("Now."))]).await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        let events = turn(&mut client, "Say nothing").await?;
        the(&events, "turn:completed")?;
        let events = turn(&mut client, "Say something").await?;
        ensure!(the(&events, "agent:response")?.text() == "Now.", "{wire:?}: {events:?}");
        server.crash().await?;
    }
    Ok(())
}

async fn a_call_of_a_tool_that_is_not_there_goes_back_as_an_error(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let call = Speech::call("call_x", "no_such_tool", json!({ "a": 1 }));
        let vendor = Vendor::scripted([wire.say(&call), wire.say(&Speech::text("Then not."))]).await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        let events = turn(&mut client, "Try it").await?;
        ensure!(the(&events, "agent:response")?.text() == "Then not.", "{wire:?}: {events:?}");
        let asked = vendor.asked();
        ensure!(asked.len() == 2 && asked[1].says("no_such_tool"), "{wire:?}: {asked:?}");
        ensure!(!events.iter().any(|event| event.name == "tool:started"), "{wire:?}: {events:?}");
        server.crash().await?;
    }
    Ok(())
}
