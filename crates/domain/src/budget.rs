use crate::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What work costs, as budgets count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Spend {
    /// Tokens that models read and wrote.
    pub tokens: u64,
    /// Calls of tools that ran.
    pub tool_calls: u64,
    /// How long models and tools were at work, in milliseconds. Time in which a human is waited for costs nothing.
    pub wall_ms: u64,
}

/// One of the things that budgets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Tokens.
    Tokens,
    /// Calls of tools.
    ToolCalls,
    /// The time of work.
    WallMs,
}

/// The most that may be spent. `None`: as much as anyone likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ceiling {
    /// Of tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Of calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u64>,
    /// Of milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
}

impl Measure {
    /// All of them, in the order in which they are checked.
    pub const ALL: [Self; 3] = [Self::Tokens, Self::ToolCalls, Self::WallMs];
}

impl Spend {
    /// So much of this.
    pub const fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Tokens => self.tokens,
            Measure::ToolCalls => self.tool_calls,
            Measure::WallMs => self.wall_ms,
        }
    }

    /// Both together; saturates.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            tool_calls: self.tool_calls.saturating_add(other.tool_calls),
            wall_ms: self.wall_ms.saturating_add(other.wall_ms),
        }
    }
}

impl Ceiling {
    /// Whether nothing is limited.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// The limit of this.
    pub const fn of(&self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Tokens => self.tokens,
            Measure::ToolCalls => self.tool_calls,
            Measure::WallMs => self.wall_ms,
        }
    }

    /// As much of `want` as fits beside what is `taken`. The first measure of which not even `least` fits is the error.
    pub fn fit(&self, taken: Spend, want: Spend, least: Spend) -> Result<Spend, Measure> {
        let fit = |measure: Measure| {
            let Some(limit) = self.of(measure) else { return Ok(want.of(measure)) };
            let left = limit.saturating_sub(taken.of(measure));
            if left < least.of(measure) { Err(measure) } else { Ok(want.of(measure).min(left)) }
        };
        Ok(Spend {
            tokens: fit(Measure::Tokens)?,
            tool_calls: fit(Measure::ToolCalls)?,
            wall_ms: fit(Measure::WallMs)?,
        })
    }
}

/// A day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    const MILLIS: i64 = 86_400_000;

    /// The day of this moment.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(Self::MILLIS))
    }

    /// When the next one begins.
    pub const fn end(self) -> Timestamp {
        Timestamp::from_millis((self.0 + 1) * Self::MILLIS)
    }
}

/// As in `2026-11-26` (the proleptic Gregorian calendar of RFC 3339).
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Days since 0000-03-01, in eras of 400 years, whose years begin in March: the leap day is then a year's last.
        let days = self.0 + 719_468;
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spend(tokens: u64, tool_calls: u64, wall_ms: u64) -> Spend {
        Spend { tokens, tool_calls, wall_ms }
    }

    #[test]
    fn what_fits_is_given_and_what_cannot_is_named() {
        let ceiling = Ceiling { tokens: Some(100), tool_calls: Some(2), wall_ms: None };
        let least = spend(10, 1, 1);
        let fit = |taken, want| ceiling.fit(taken, want, least);
        assert_eq!(fit(spend(0, 0, 0), spend(50, 1, 9)), Ok(spend(50, 1, 9)));
        assert_eq!(fit(spend(80, 1, 1 << 60), spend(50, 1, 9)), Ok(spend(20, 1, 9)));
        assert_eq!(fit(spend(91, 0, 0), spend(50, 1, 9)), Err(Measure::Tokens));
        assert_eq!(fit(spend(0, 2, 0), spend(50, 1, 9)), Err(Measure::ToolCalls));
        assert_eq!(fit(spend(500, 9, 0), spend(50, 1, 9)), Err(Measure::Tokens), "more than the limit may be spent");
        assert_eq!(Ceiling::default().fit(spend(u64::MAX, 0, 0), spend(5, 5, 5), least), Ok(spend(5, 5, 5)));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let check = |seconds: i64, text: &str| {
            let day = Day::of(Timestamp::from_millis(seconds * 1_000));
            assert_eq!(day.to_string(), text);
            assert!(day.end() > Timestamp::from_millis(seconds * 1_000));
            assert_ne!(Day::of(day.end()), day);
        };
        check(0, "1970-01-01");
        check(-1, "1969-12-31");
        check(951_782_399, "2000-02-28");
        check(951_782_400, "2000-02-29");
        check(951_868_800, "2000-03-01");
        check(1_767_225_599, "2025-12-31");
        check(1_767_225_600, "2026-01-01");
        check(4_107_542_400, "2100-03-01");
    }
}
