//! Images and other data in base64.

use crate::Sanitizer;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Why data is not passed on, for models and people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub String);

impl Sanitizer {
    /// Returns the media type that the first bytes of an image have, one of PNG, JPEG, GIF, and WebP, and its size in bytes.
    /// `room` is the largest size.
    pub fn image(&self, data: &str, room: usize) -> Result<(&'static str, usize), Unfit> {
        let bytes = self.data(data, room, "an image")?;
        match image_type(&bytes) {
            Some(kind) => Ok((kind, bytes.len())),
            None => Err(Unfit(format!("[left out: {} bytes that are no PNG, JPEG, GIF, or WebP image]", bytes.len()))),
        }
    }

    /// Returns the bytes of canonical base64 that holds at most `room` bytes and no secret. `what` names it.
    pub fn data(&self, data: &str, room: usize, what: &str) -> Result<Vec<u8>, Unfit> {
        if data.len() / 4 * 3 > room.saturating_add(2) {
            let about = data.len() / 4 * 3;
            return Err(Unfit(format!("[left out: {what} of about {about} bytes, and there is room for {room}]")));
        }
        let Ok(bytes) = STANDARD.decode(data) else {
            return Err(Unfit(format!("[left out: {what} of {} characters that are not base64]", data.len())));
        };
        if self.config.redact && !self.secrets.places(&String::from_utf8_lossy(&bytes)).is_empty() {
            return Err(Unfit(format!("[left out: {what} of {} bytes that holds a secret]", bytes.len())));
        }
        Ok(bytes)
    }
}

fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use secrecy::SecretString;

    /// Covers: S2-4
    #[test]
    fn only_real_images_without_secrets_are_passed_on() {
        let sanitizer = Sanitizer::new(Config::default(), &[SecretString::from("correct-horse")]);
        let png = |rest: &str| STANDARD.encode([b"\x89PNG\r\n\x1a\n", rest.as_bytes()].concat());
        assert_eq!(sanitizer.image(&png("abc"), 100), Ok(("image/png", 11)));
        let svg = STANDARD.encode("<svg xmlns='http://www.w3.org/2000/svg'/>");
        for unfit in [png("a correct-horse"), png(&"x".repeat(200)), "ghp_!".to_owned(), svg, "QQ".to_owned()] {
            let said = sanitizer.image(&unfit, 100).expect_err("unfit").0;
            assert!(said.starts_with("[left out: "), "{said}");
        }
    }
}
