//! Names that authenticators give to principals. Authenticators and the configuration use these checks; ids that are
//! already stored are read with [`PrincipalId::parse`], which accepts more.

use crate::Principal;
use lockkeeper_domain::PrincipalId;
use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::is_nfc;

/// Why a text cannot name a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitName {
    /// There is nothing to read.
    #[error("it is empty")]
    Empty,
    /// It takes more than [`Principal::MAX_NAME_BYTES`].
    #[error("it is longer than {} bytes", Principal::MAX_NAME_BYTES)]
    TooLong,
    /// A control, format, private, unassigned, or filler character, or a space other than U+0020.
    #[error("it holds the character U+{:04X}, which readers do not see or take for another one", u32::from(*.0))]
    Character(char),
    /// Spaces that a reader does not see: at an end, or several in a row.
    #[error("it has a space at an end, or two in a row")]
    Spaces,
    /// The same text can be written in two ways, and this is not the composed one.
    #[error("it is not in Unicode normalization form C")]
    NotComposed,
    /// The server uses the name itself.
    #[error("the name is reserved")]
    Reserved,
}

impl Principal {
    /// The longest name, in bytes.
    pub const MAX_NAME_BYTES: usize = 256;
    /// The name under which the log holds what operators decide with the admin API. No client has it.
    pub const OPERATOR: &str = "operator (admin API)";

    /// Checks a name that an authenticator takes from a token or from the configuration. Two accepted names that read the
    /// same are the same, except for letters of different scripts that look alike.
    pub fn id_from(name: &str) -> Result<PrincipalId, UnfitName> {
        if name.is_empty() {
            return Err(UnfitName::Empty);
        }
        if let Some(unseen) = name.chars().find(|c| is_unseen(*c)) {
            return Err(UnfitName::Character(unseen));
        }
        // Without a letter before it, a mark joins whatever is shown in front of the name.
        if let Some(mark) = name.chars().next().filter(|c| is_mark(*c)) {
            return Err(UnfitName::Character(mark));
        }
        if name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
            return Err(UnfitName::Spaces);
        }
        if !is_nfc(name) {
            return Err(UnfitName::NotComposed);
        }
        if name == Self::OPERATOR {
            return Err(UnfitName::Reserved);
        }
        // Last: the caller may shorten what is too long and otherwise fit.
        if name.len() > Self::MAX_NAME_BYTES {
            return Err(UnfitName::TooLong);
        }
        // Nothing that passes is refused by the wider rule.
        PrincipalId::parse(name).map_err(|_| UnfitName::TooLong)
    }
}

fn is_unseen(c: char) -> bool {
    use GeneralCategory::{
        Control, Format, LineSeparator, ParagraphSeparator, PrivateUse, SpaceSeparator, Surrogate, Unassigned,
    };
    match get_general_category(c) {
        Control | Format | LineSeparator | ParagraphSeparator | PrivateUse | Surrogate | Unassigned => true,
        SpaceSeparator => c != ' ',
        // Letters, marks, and symbols by category that are drawn as nothing.
        _ => matches!(c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}'),
    }
}

fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(get_general_category(c), EnclosingMark | NonspacingMark | SpacingMark)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: S3-sub
    #[test]
    fn name_of_any_language_is_accepted() {
        for name in ["ann", "auth0|1 2", "Zoë", "山田 太郎", "ann@id.example", "ANN", "нина"] {
            assert_eq!(Principal::id_from(name).expect(name).as_str(), name);
        }
    }

    /// Covers: S3-sub
    #[test]
    fn name_with_unseen_characters_is_refused() {
        let unseen = "\u{0}\n\t\u{7f}\u{85}\u{a0}\u{ad}\u{34f}\u{61c}\u{115f}\u{1680}\u{17b4}\u{180b}\u{180e}\u{2000}\u{200a}\
                      \u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{202f}\u{205f}\u{2060}\u{2064}\
                      \u{2066}\u{2069}\u{206f}\u{2800}\u{3000}\u{3164}\u{e000}\u{fe00}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1bca0}\
                      \u{1d173}\u{e0001}\u{e0041}\u{e0100}\u{f0000}\u{10ffff}";
        for c in unseen.chars() {
            for name in [format!("ann{c}"), format!("{c}ann"), format!("a{c}nn"), c.to_string()] {
                assert_eq!(Principal::id_from(&name), Err(UnfitName::Character(c)), "{name:?}");
            }
        }
    }

    /// Covers: S3-sub
    #[test]
    fn name_that_can_be_read_as_another_is_refused() {
        let refused = |name: &str| Principal::id_from(name).expect_err(name);
        assert_eq!(refused(""), UnfitName::Empty);
        for name in [" ann", "ann ", "a  b", " "] {
            assert_eq!(refused(name), UnfitName::Spaces, "{name:?}");
        }
        for name in ["Zoe\u{308}", "\u{212b}", "e\u{301}"] {
            assert_eq!(refused(name), UnfitName::NotComposed, "{name:?}");
        }
        assert_eq!(refused("\u{301}ann"), UnfitName::Character('\u{301}'));
        assert_eq!(refused(Principal::OPERATOR), UnfitName::Reserved);
        assert_eq!(refused(&"x".repeat(257)), UnfitName::TooLong);
        Principal::id_from(&"x".repeat(256)).expect("as long as may be");
    }
}
