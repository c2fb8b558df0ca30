//! The contract of the store ports: one test for each sentence of their documentation.
//!
//! An adapter runs [`store_contract!`](crate::store_contract) in a test module. Sessions and owners are named anew in each
//! run, so the stores of an adapter may share a server, and what an earlier run has left there does no harm. Time is
//! what the tests say it is; none of them waits for a lease to run out.

#![expect(clippy::unwrap_used, reason = "what fails in a contract's test fails the test")]

use futures::future::BoxFuture;
use lockkeeper_ports::SessionStore;
use std::sync::Arc;

#[doc(hidden)]
pub mod audits;
#[doc(hidden)]
pub mod commits;
#[doc(hidden)]
pub mod conversations;
#[doc(hidden)]
pub mod events;
#[doc(hidden)]
pub mod fencing;
#[doc(hidden)]
pub mod followers;
#[doc(hidden)]
pub mod indexes;
#[doc(hidden)]
pub mod leases;
mod material;
pub mod model;
#[doc(hidden)]
pub mod races;
#[doc(hidden)]
pub mod records;
#[doc(hidden)]
pub mod retries;
#[doc(hidden)]
pub mod sizes;

/// Makes a test of each requirement. `$fresh` is an async function that returns an `Arc<dyn SessionStore>`.
///
/// ```ignore
/// async fn in_memory() -> Arc<dyn SessionStore> {
///     Arc::new(EmbeddedStore::in_memory())
/// }
///
/// lockkeeper_testkit::store_contract!(in_memory);
/// ```
#[macro_export]
macro_rules! store_contract {
    ($fresh:path) => {
        $crate::store_contract! { @cases each $fresh }
    };
    (@cases $how:ident $($fresh:path)?) => {
        $crate::store_contract! {
            @$how $($fresh)?;
            records:
                a_created_session_is_read_back,
                what_was_never_created_is_not_there,
                a_second_create_is_refused_whoever_asks,
                a_second_create_disturbs_no_session_in_use,
                owned_sessions_come_last_used_first,
                owners_with_similar_names_are_apart,
                the_latest_sessions_come_first_whoever_owns_them,
                a_renamed_session_is_called_so,
                a_rename_of_nothing_is_not_found,
                a_step_gives_a_title_to_a_session_that_has_none,
                a_touch_moves_forward_only,
                a_touch_of_nothing_is_not_found,
                a_deleted_session_is_gone_with_its_log_and_history,
                a_delete_touches_no_other_session,
                a_delete_is_idempotent,
                a_held_session_is_not_deleted,
                a_session_made_anew_is_empty_and_fences_the_old_owner,
                a_store_that_works_says_so,;
            leases:
                a_claim_gives_lease_record_and_end_of_log,
                a_claim_of_nothing_is_not_found,
                a_held_lease_is_refused_to_others,
                a_lease_that_ran_out_can_be_claimed,
                the_same_holder_claims_again_with_a_new_epoch,
                epochs_only_rise,
                a_renewed_lease_lasts_from_then,
                a_lease_that_ran_out_unclaimed_still_works,
                a_stale_epoch_cannot_renew,
                a_released_lease_is_free_at_once,
                a_release_is_idempotent,
                a_stale_release_changes_nothing,
                leases_of_sessions_are_apart,;
            commits:
                a_commit_writes_events_history_and_record,
                what_a_commit_does_not_name_stays,
                each_field_of_the_record_changes_alone,
                a_commit_elsewhere_than_at_the_end_conflicts,
                numbers_that_are_not_dense_are_refused,
                events_of_another_epoch_are_refused,
                a_commit_without_events_is_written_each_time,
                sessions_do_not_see_each_other,
                text_comes_back_as_it_was,
                large_events_are_kept,
                a_commit_of_many_events_is_one,
                a_session_without_an_owner_is_not_written,;
            sizes:
                sizes_grow_and_shrink_with_what_is_stored,
                sizes_of_an_owner_are_a_sum_of_its_own,
                a_trim_to_a_size_keeps_the_newest_events,
                a_trim_to_a_size_keeps_what_no_checkpoint_covers,
                a_trim_to_a_size_by_a_stale_owner_is_fenced,;
            audits:
                audit_records_are_kept_along_with_the_log,
                a_trimmed_log_keeps_its_audit,
                a_log_trimmed_by_bytes_keeps_its_audit,
                a_deleted_session_keeps_its_audit,
                sessions_of_one_id_have_audits_of_their_own,
                a_repeated_commit_is_audited_once,
                a_refused_commit_is_not_audited,
                the_audit_goes_on_across_a_takeover,
                audit_records_are_read_in_pages,
                records_that_are_old_enough_are_removed,
                records_that_are_not_old_enough_stay,
                a_trail_over_its_size_loses_its_oldest_records,
                a_follower_of_the_audit_gets_what_was_and_what_comes,
                a_follower_of_the_audit_resumes_at_a_cursor,
                a_deleted_session_does_not_end_a_follower_of_the_audit,;
            retries:
                a_commit_that_was_written_is_known,
                it_is_known_after_later_ones,
                it_is_known_after_its_lease_ran_out,
                after_a_takeover_it_changes_nothing,
                the_same_events_of_another_epoch_are_others,
                other_events_under_the_same_numbers_conflict,
                a_commit_that_the_log_holds_in_part_conflicts,
                many_attempts_at_once_write_once,
                a_trimmed_commit_is_not_written_again,;
            fencing:
                an_owner_is_fenced_by_the_next_claim,
                an_owner_is_fenced_by_its_own_next_claim,
                an_owner_is_fenced_by_its_release,
                an_epoch_that_was_never_given_is_fenced,
                the_epoch_of_another_session_is_fenced,
                a_session_that_was_deleted_fences_its_owner,;
            conversations:
                a_history_grows_at_its_end,
                a_history_shrinks_at_its_front,
                what_goes_is_counted_after_the_append,
                a_cleared_history_is_empty_and_begins_anew,
                a_window_slides_for_long,
                every_kind_of_message_comes_back_as_it_was,;
            events:
                a_read_gives_what_follows_a_number,
                a_log_without_events_is_empty,
                the_last_event_names_its_writer,
                a_trim_drops_the_front_and_keeps_the_numbers,
                a_trim_is_idempotent_and_never_undone,
                a_trim_keeps_what_the_checkpoint_does_not_account_for,
                without_a_checkpoint_nothing_is_trimmed,
                a_log_that_was_trimmed_to_its_end_goes_on,
                a_follower_is_told_that_its_place_was_trimmed,
                a_trim_does_not_disturb_who_is_past_it,;
            followers:
                a_follower_gets_what_was_and_what_comes,
                a_follower_starts_where_it_says,
                a_follower_may_wait_beyond_the_end,
                a_follower_may_come_before_the_first_event,
                a_follower_may_come_before_the_session,
                a_follower_follows_across_a_takeover,
                a_follower_sees_its_session_only,
                refused_and_repeated_commits_are_not_followed,
                a_slow_follower_misses_nothing,
                large_events_are_followed,
                followers_of_a_busy_log_miss_nothing,
                a_follower_that_went_is_missed_by_nobody,;
            indexes:
                only_idle_sessions_with_a_sandbox_expire,
                expiry_goes_by_the_last_use,
                a_lease_does_not_keep_a_session_from_expiring,
                the_longest_idle_come_first,
                a_limit_holds_for_expired_sessions,
                busy_sessions_that_nobody_holds_are_abandoned,
                a_session_may_be_abandoned_from_its_first_moment,
                a_limit_holds_for_abandoned_sessions,
                busy_sessions_are_found_whoever_holds_them,;
            races:
                of_many_creates_one_makes_the_session,
                of_many_claims_one_succeeds,
                two_owners_never_write_the_same_number,
                sixty_four_sessions_are_written_at_once,
                refused_commits_harm_no_others,
                readers_see_whole_commits_only,
                touches_at_once_keep_the_latest,;
        }
    };
    (@each $fresh:path; $($module:ident: $($name:ident,)*;)*) => {
        $(
            mod $module {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        $crate::store::$module::$name($fresh().await).await;
                    }
                )*
            }
        )*
    };
    (@list; $($module:ident: $($name:ident,)*;)*) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            check: |fresh| Box::pin($module::$name(fresh)),
        }),*),*]
    };
}

/// One requirement.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Panics where it is not met.
    pub check: fn(Arc<dyn SessionStore>) -> BoxFuture<'static, ()>,
}

/// All requirements, for a test harness of one's own. Others use [`store_contract!`](crate::store_contract).
pub const CASES: &[Case] = store_contract!(@cases list);
