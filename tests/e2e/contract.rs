//! The contract's documents, and the client package that is made of them. That what clients see is what the contract says, the
//! client of all other cases minds with each event.

use crate::case::{Case, Ground, cases};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Program, Proxy, Server, asyncapi, repository, typescript};
use std::{cell::RefCell, rc::Rc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        the_asyncapi_document_is_one_by_its_own_parser needs AsyncApi;
        the_client_package_holds_a_conversation needs TypeScript;
        the_client_package_comes_back_from_a_killed_server_without_a_gap needs TypeScript;
        the_client_package_says_why_it_is_refused needs TypeScript;
    ]
}

async fn the_asyncapi_document_is_one_by_its_own_parser(_: Rc<Ground>) -> Result<()> {
    let document = repository().join("docs/contract/asyncapi.json");
    let said = Program::javascript_at(&asyncapi("validate.mjs"))?.arg(document).run().await?;
    ensure!(said.starts_with("/: "), "{said}");
    Ok(())
}

async fn the_client_package_holds_a_conversation(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    Program::javascript_at(&typescript("conversation.mjs"))?.arg(server.url()).run().await?;
    Ok(())
}

async fn the_client_package_comes_back_from_a_killed_server_without_a_gap(ground: Rc<Ground>) -> Result<()> {
    let server = ground.server().await?;
    let proxy = Proxy::to(server.url()).await?;
    let setup = server.setup().clone();
    let server: RefCell<Option<Server>> = RefCell::new(Some(server));
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
    Program::javascript_at(&typescript("restart.mjs"))?.arg(proxy.url()).run_with(act).await.map(drop)
}

async fn the_client_package_says_why_it_is_refused(ground: Rc<Ground>) -> Result<()> {
    const TOKEN: &str = "a-token-of-some-length-0123456789";
    let server = ground.setup().config(&format!("auth.tokens.alice = '{TOKEN}'")).start().await?;
    Program::javascript_at(&typescript("refused.mjs"))?.arg(server.url()).arg(TOKEN).run().await?;
    Ok(())
}
