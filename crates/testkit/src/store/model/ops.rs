use proptest::prelude::*;

/// How many sessions there are.
pub(super) const SESSIONS: usize = 3;

/// An operation of a store. An epoch is chosen among those that were given, by its place from the last.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create { session: usize, owner: usize, at: i64 },
    Touch { session: usize, at: i64 },
    Claim { session: usize, holder: usize, at: i64 },
    Renew { session: usize, epoch: usize, at: i64 },
    Release { session: usize, epoch: usize },
    Delete { session: usize, at: i64 },
    Trim { session: usize, epoch: usize, through: u64 },
    Commit { session: usize, epoch: usize, step: Step },
    Again { commit: usize },
    Reopen,
}

/// A change of the history: so many messages come, and so many go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Slide(usize, usize),
    Clear,
}

/// A commit, but for its epoch. It is at the log's end, give or take `off`.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) off: i64,
    pub(super) events: u64,
    pub(super) history: Option<Told>,
    pub(super) active: Option<i64>,
    pub(super) sandbox: Option<bool>,
    pub(super) checkpoint: Option<u64>,
    pub(super) busy: Option<bool>,
}

fn step() -> impl Strategy<Value = Step> {
    let off = prop_oneof![8 => Just(0), 1 => Just(-1), 1 => Just(1)];
    let slide = (0..4_usize, 0..4_usize).prop_map(|(append, drop_front)| Told::Slide(append, drop_front));
    let told = prop_oneof![4 => slide, 1 => Just(Told::Clear)];
    (
        off,
        0..4_u64,
        proptest::option::of(told),
        proptest::option::of(0..40_i64),
        proptest::option::of(any::<bool>()),
        proptest::option::of(0..12_u64),
        proptest::option::of(any::<bool>()),
    )
        .prop_map(|(off, events, history, active, sandbox, checkpoint, busy)| Step {
            off,
            events,
            history,
            active,
            sandbox,
            checkpoint,
            busy,
        })
}

/// A sequence of operations.
#[derive(Clone, Debug)]
pub struct Ops(pub(super) Vec<Op>);

/// Sequences of up to 60 operations.
pub fn ops() -> impl Strategy<Value = Ops> {
    proptest::collection::vec(op(), 1..60).prop_map(Ops)
}

fn op() -> impl Strategy<Value = Op> {
    let session = 0..SESSIONS;
    let epoch = prop_oneof![6 => Just(0_usize), 1 => 1..3_usize];
    let at = 0..40_i64;
    prop_oneof![
        3 => (session.clone(), 0..2_usize, at.clone()).prop_map(|(session, owner, at)| Op::Create { session, owner, at }),
        2 => (session.clone(), at.clone()).prop_map(|(session, at)| Op::Touch { session, at }),
        5 => (session.clone(), 0..2_usize, at.clone())
            .prop_map(|(session, holder, at)| Op::Claim { session, holder, at }),
        2 => (session.clone(), epoch.clone(), at.clone())
            .prop_map(|(session, epoch, at)| Op::Renew { session, epoch, at }),
        1 => (session.clone(), epoch.clone()).prop_map(|(session, epoch)| Op::Release { session, epoch }),
        1 => (session.clone(), at).prop_map(|(session, at)| Op::Delete { session, at }),
        2 => (session.clone(), epoch.clone(), 0..14_u64)
            .prop_map(|(session, epoch, through)| Op::Trim { session, epoch, through }),
        14 => (session, epoch, step()).prop_map(|(session, epoch, step)| Op::Commit { session, epoch, step }),
        2 => (0..4_usize).prop_map(|commit| Op::Again { commit }),
        1 => Just(Op::Reopen),
    ]
}
