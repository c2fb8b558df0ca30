//! Sandboxes in containers: the cases in which a sandbox matters once more, and what only containers have.

mod chaos;
mod doctor;
mod isolation;
mod setup;

use crate::{case::Case, conversation, gate, output, resume, servers, sharing};

pub(crate) fn cases() -> Vec<Case> {
    let again = [
        conversation::cases(),
        gate::cases(),
        output::cases(),
        resume::cases(),
        servers::cases(),
        sharing::cases(),
        setup::on_docker(),
        chaos::cases(),
        isolation::cases(),
    ];
    let mut cases: Vec<_> = again.into_iter().flatten().map(Case::on_docker).collect();
    cases.extend(setup::without_an_engine());
    cases.extend(doctor::cases());
    cases
}
