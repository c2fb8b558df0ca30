//! The web console, in a browser.

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Program, Proxy, Server, Setup};
use std::{cell::RefCell, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        a_first_run_goes_from_a_message_to_an_approved_call_and_its_output needs Browser;
        a_card_shows_all_that_is_decided_about_and_takes_no_hasty_answer needs Browser;
        the_files_of_the_sandbox_can_be_looked_at needs Browser;
        an_approval_for_always_stores_the_rule_that_was_shown_until_it_is_revoked needs Browser;
        a_denials_reason_reaches_the_model needs Browser;
        edited_arguments_run_instead_and_unfit_ones_are_refused needs Browser;
        a_tool_approved_for_the_session_asks_no_more needs Browser;
        of_two_tabs_that_decide_at_once_one_wins_and_both_show_it needs Browser;
        a_pending_approval_survives_a_reload needs Browser;
        a_server_killed_in_the_middle_of_an_answer_loses_and_doubles_nothing needs Browser;
        a_slow_network_is_enough needs Browser;
        axe_finds_nothing_in_light_and_dark needs Browser;
        the_keyboard_and_the_width_of_a_phone_are_enough needs Browser;
        the_page_can_be_used_soon_after_it_is_asked_for needs Browser;
        what_models_and_tools_write_is_never_markup needs Browser;
        a_token_leaves_the_address_at_once needs Browser;
        a_turn_that_runs_is_stopped needs Browser;
        costly_answer_leaves_the_deny_button_usable needs Browser;
        sessions_are_left_and_come_back_to needs Browser;
        the_pictures_of_the_readme_can_be_drawn needs Browser;
    ]
}

/// Lets the browser do what the program `name` says, with a server of its own.
async fn browse(ground: &Ground, name: &str) -> Result<String> {
    let server = ground.server().await?;
    Program::browser(name, ground.folder())?.arg(server.url()).run().await
}

async fn a_first_run_goes_from_a_message_to_an_approved_call_and_its_output(ground: Rc<Ground>) -> Result<()> {
    // As `dev` prints it: with the token of the address, if it has one.
    let setup = Setup::dev(ground.folder());
    let server = setup.start().await?;
    let said = setup.log();
    let page = said.split("Console").nth(1).and_then(|rest| rest.split_whitespace().next());
    let page = page.with_context(|| format!("dev does not say where the console is: {said}"))?;
    ensure!(page.starts_with(server.url()), "{page}");
    Program::browser("first-run.mjs", ground.folder())?.arg(page).run().await?;
    Ok(())
}

async fn a_card_shows_all_that_is_decided_about_and_takes_no_hasty_answer(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "card.mjs").await.map(drop)
}

async fn the_files_of_the_sandbox_can_be_looked_at(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "files.mjs").await.map(drop)
}

async fn an_approval_for_always_stores_the_rule_that_was_shown_until_it_is_revoked(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "rules.mjs").await.map(drop)
}

async fn a_denials_reason_reaches_the_model(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "deny.mjs").await.map(drop)
}

async fn edited_arguments_run_instead_and_unfit_ones_are_refused(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "edit.mjs").await.map(drop)
}

async fn a_tool_approved_for_the_session_asks_no_more(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "session-scope.mjs").await.map(drop)
}

async fn of_two_tabs_that_decide_at_once_one_wins_and_both_show_it(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "two-tabs.mjs").await.map(drop)
}

async fn a_pending_approval_survives_a_reload(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "reload.mjs").await.map(drop)
}

async fn a_server_killed_in_the_middle_of_an_answer_loses_and_doubles_nothing(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let proxy = Proxy::to(server.url()).await?;
    let setup = server.setup().clone();
    let server: RefCell<Option<Server>> = RefCell::new(Some(server));
    let browser = Program::browser("restart.mjs", ground.folder())?.arg(proxy.url());
    let act = async |asked: &str| {
        match asked {
            "kill" => {
                let running = server.borrow_mut().take().context("no server runs")?;
                running.crash().await?;
            }
            "start" => {
                let started = setup.start().await?;
                proxy.turn_to(started.url())?;
                server.replace(Some(started));
            }
            _ => anyhow::bail!("what is {asked}?"),
        }
        Ok(())
    };
    browser.run_with(act).await.map(drop)
}

async fn a_slow_network_is_enough(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "slow-network.mjs").await.map(drop)
}

async fn axe_finds_nothing_in_light_and_dark(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "axe.mjs").await.map(drop)
}

async fn the_keyboard_and_the_width_of_a_phone_are_enough(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "keyboard.mjs").await.map(drop)
}

async fn the_page_can_be_used_soon_after_it_is_asked_for(ground: Rc<Ground>) -> Result<()> {
    let measured = browse(&ground, "usable.mjs").await?;
    ensure!(measured.contains("usable after"), "nothing was measured: {measured}");
    print!("{measured}");
    Ok(())
}

async fn what_models_and_tools_write_is_never_markup(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "hostile.mjs").await.map(drop)
}

async fn a_token_leaves_the_address_at_once(ground: Rc<Ground>) -> Result<()> {
    const TOKEN: &str = "a-token-of-some-length-0123456789";
    let tokens = format!("auth.mode = 'static'\nauth.tokens.alice = '{TOKEN}'");
    let server = ground.setup().config(&tokens).start().await?;
    Program::browser("token.mjs", ground.folder())?.arg(server.url()).arg(TOKEN).run().await?;
    Ok(())
}

async fn a_turn_that_runs_is_stopped(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "stop.mjs").await.map(drop)
}

/// Covers: S2-10
async fn costly_answer_leaves_the_deny_button_usable(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "costly.mjs").await.map(drop)
}

async fn sessions_are_left_and_come_back_to(ground: Rc<Ground>) -> Result<()> {
    browse(&ground, "sessions.mjs").await.map(drop)
}

/// And each is small enough for a README.
async fn the_pictures_of_the_readme_can_be_drawn(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let pictures = ground.folder().join("images");
    Program::browser("screenshots.mjs", ground.folder())?.arg(server.url()).arg(&pictures).run().await?;
    for name in ["console", "tools", "files", "phone"] {
        for theme in ["light", "dark"] {
            let picture = pictures.join(format!("{name}-{theme}.png"));
            ensure!(picture.metadata()?.len() > 10_000, "{} is empty", picture.display());
        }
    }
    Ok(())
}
