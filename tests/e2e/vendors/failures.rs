use super::{KEY, RUN, asking, shown, the, turn};
use crate::case::{Case, Ground, cases};
use anyhow::{Result, ensure};
use lockkeeper_tests::{Answer, Event, Speech, Vendor, Wire};
use serde_json::json;
use std::{rc::Rc, time::Duration};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_vendor_that_wants_a_pause_gets_it_and_then_answers;
        a_refused_key_is_told_with_its_code_and_not_tried_again;
        a_stream_that_was_cut_runs_nothing_wherever_it_was_cut;
        an_error_within_a_stream_is_tried_again_until_something_was_shown;
        a_cancelled_turn_closes_the_connection_to_the_vendor;
        a_vendor_that_cannot_be_reached_is_told_with_its_code;
    ]
}

async fn a_vendor_that_wants_a_pause_gets_it_and_then_answers(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let vendor = Vendor::scripted([wire.rate_limited(), wire.say(&Speech::text("Here I am."))]).await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        let events = turn(&mut client, "Are you there?").await?;
        ensure!(the(&events, "agent:response")?.text() == "Here I am.", "{wire:?}: {events:?}");
        let asked = vendor.asked();
        ensure!(asked.len() == 2, "{wire:?} was asked {} times", asked.len());
        let pause = asked[1].at - asked[0].at;
        ensure!(pause >= Duration::from_secs(1), "{wire:?} was asked again after {pause:?}");
        server.crash().await?;
    }
    Ok(())
}

async fn a_refused_key_is_told_with_its_code_and_not_tried_again(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let vendor = Vendor::scripted([wire.bad_key(KEY), wire.say(&Speech::text("Not so."))]).await?;
        let setup = asking(&ground, wire, &vendor).config("log.level = 'trace'");
        let server = setup.start().await?;
        let mut client = server.connect().open().await?;
        let events = turn(&mut client, "Are you there?").await?;
        let error = the(&events, "agent:error")?;
        ensure!(error.payload["code"] == "provider_authentication", "{wire:?}: {error:?}");
        ensure!(error.payload["retryable"] == false && error.payload["hint"].is_string(), "{wire:?}: {error:?}");
        ensure!(vendor.asked().len() == 1, "{wire:?} was asked {} times", vendor.asked().len());
        ensure!(vendor.asked()[0].head.contains(KEY), "{wire:?} was asked without the key");
        ensure!(!format!("{:?}", client.journal()).contains(KEY), "{wire:?}: the client was shown the key: {error:?}");
        ensure!(!setup.log().contains(KEY), "{wire:?}: the key is in the log");
        server.crash().await?;
    }
    Ok(())
}

fn is_about_tools(event: &Event) -> bool {
    event.name.starts_with("tool:")
}

async fn a_stream_that_was_cut_runs_nothing_wherever_it_was_cut(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let spoken = Speech::text("I delete it.").and_call("c", RUN, json!({ "command": "touch ran" }));
        let frames = wire.frames(&spoken);
        let vendor = Vendor::scripted([]).await?;
        // A policy that lets everything run at once: nobody has to approve what must not be there.
        let allowing = "policy.rules = [{ tool = '*', decision = 'allow' }]";
        let server = asking(&ground, wire, &vendor).config(allowing).start().await?;
        let mut client = server.connect().open().await?;
        // Chat Completions say by the usage and by [DONE] that all is there; the others by their last event alone.
        let whole: String = frames.concat();
        let within = whole.len() - frames.last().map_or(0, |last| last.len() / 2);
        let cuts = (1..frames.len()).map(|count| frames[..count].concat()).chain([whole[..within].to_owned()]);
        for (number, cut) in cuts.enumerate() {
            let broken = Answer::stream(cut.clone()).broken();
            let ended = Answer::stream(cut);
            let is_even = number % 2 == 0;
            // As often as it is tried, where nothing was shown yet.
            vendor.also(std::iter::repeat_n(if is_even { broken } else { ended }, 3));
            let events = turn(&mut client, "Go on").await?;
            let error = the(&events, "agent:error")?;
            ensure!(error.payload["code"] == "provider_stream_cut", "{wire:?} after {number}: {error:?}");
            ensure!(!events.iter().any(is_about_tools), "{wire:?} after {number}: {events:?}");
            vendor.forget();
        }
        vendor.also([wire.say(&spoken), wire.say(&Speech::text("Done."))]);
        let events = turn(&mut client, "Go on").await?;
        ensure!(events.iter().any(|event| event.name == "tool:output"), "{wire:?}: the whole stream runs: {events:?}");
        server.crash().await?;
    }
    Ok(())
}

async fn an_error_within_a_stream_is_tried_again_until_something_was_shown(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let frames = wire.frames(&Speech::text("Half of an answer"));
        let begun = frames.iter().position(|frame| frame.contains("Half of")).map_or(0, |at| at + 1);
        let late = format!("{}{}", frames[..begun].concat(), wire.overloaded_frame());
        let early = Answer::stream(wire.overloaded_frame());
        let vendor = Vendor::scripted([early, wire.say(&Speech::text("Whole.")), Answer::stream(late)]).await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        let events = turn(&mut client, "First").await?;
        ensure!(the(&events, "agent:response")?.text() == "Whole.", "{wire:?}: {events:?}");
        let events = turn(&mut client, "Second").await?;
        let error = the(&events, "agent:error")?;
        ensure!(error.payload["code"] == "provider_overloaded", "{wire:?}: {error:?}");
        ensure!(error.payload["retryable"] == true, "{wire:?}: {error:?}");
        ensure!(shown(&events) == "Half of an answer", "{wire:?}: {events:?}");
        ensure!(vendor.asked().len() == 3, "{wire:?} was asked {} times", vendor.asked().len());
        server.crash().await?;
    }
    Ok(())
}

async fn a_cancelled_turn_closes_the_connection_to_the_vendor(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let frames = wire.frames(&Speech::text("I go on and on"));
        let begun = frames.iter().position(|frame| frame.contains("on and on")).map_or(0, |at| at + 1);
        let speaking = Answer::stream(frames[..begun].concat()).hanging();
        let vendor = Vendor::scripted([speaking, Answer::stream("").hanging()]).await?;
        let server = asking(&ground, wire, &vendor).start().await?;
        let mut client = server.connect().open().await?;
        for round in 1..=2 {
            client.say("Tell me a story").await?;
            vendor.until_asked(round).await?;
            if round == 1 {
                client.until("agent:delta").await?;
            }
            let ack = client.call_bare("turn:cancel").await?;
            ensure!(ack["ok"] == true, "{wire:?}: {ack}");
            let end = client.until("turn:completed").await?;
            ensure!(end.payload["stopReason"] == "cancelled", "{wire:?}: {end:?}");
            vendor.until_left(round).await?;
        }
        server.crash().await?;
    }
    Ok(())
}

async fn a_vendor_that_cannot_be_reached_is_told_with_its_code(ground: Rc<Ground>) -> Result<()> {
    for wire in Wire::ALL {
        let setup = asking(&ground, wire, &Vendor::scripted([]).await?);
        let server = setup.start().await?;
        let mut client = server.connect().open().await?;
        let events = turn(&mut client, "Are you there?").await?;
        let error = the(&events, "agent:error")?;
        ensure!(error.payload["code"] == "provider_network", "{wire:?}: {error:?}");
        ensure!(error.payload["retryable"] == true, "{wire:?}: {error:?}");
        server.crash().await?;
    }
    Ok(())
}
