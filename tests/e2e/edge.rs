//! What clients do to a server that they should not, and what it costs them: the rows C1 to C15 of the fault matrix.

mod answers;
mod away;
mod floods;
mod frames;
mod order;
mod wire;

use crate::case::{Case, cases};
use answers::{
    c3_duplicate_approval, c4_conflicting_approvals_from_two_tabs, c5_approval_for_a_call_that_is_not_ones_own,
    c6_answers_without_a_digest_where_one_is_required, c6_approval_that_names_another_call,
};
use away::{c1_disconnect_mid_stream, c2_disconnect_mid_approval, c8_slow_reader, c14_token_expires_during_a_turn};
use floods::{c7_reconnect_storm, c9_event_flood, c10_oversize_frame};
use frames::c11_frames_that_are_none;
use order::{c12_order_of_events, c13_two_sockets_send_at_once, c15_history_reset_during_a_turn};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        c1_disconnect_mid_stream;
        c2_disconnect_mid_approval;
        c3_duplicate_approval;
        c4_conflicting_approvals_from_two_tabs;
        c5_approval_for_a_call_that_is_not_ones_own;
        c6_approval_that_names_another_call;
        c6_answers_without_a_digest_where_one_is_required;
        c7_reconnect_storm;
        c8_slow_reader;
        c9_event_flood;
        c10_oversize_frame;
        c11_frames_that_are_none;
        c12_order_of_events;
        c13_two_sockets_send_at_once;
        c14_token_expires_during_a_turn;
        c15_history_reset_during_a_turn;
    ]
}
