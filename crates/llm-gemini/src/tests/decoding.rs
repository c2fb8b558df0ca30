use super::{decode, goldens, rendered};
use crate::Api;

#[test]
fn goldens_decode_as_they_should_however_they_are_cut_into_chunks() {
    for (name, api, body) in goldens::all() {
        check(name, api, body.as_bytes());
    }
}

#[track_caller]
fn check(name: &str, api: Api, body: &[u8]) {
    let whole = decode(api, body, body.len());
    for size in [1, 7, 61] {
        assert_eq!(decode(api, body, size), whole, "{name} in chunks of {size}");
    }
    insta::assert_snapshot!(name, rendered(&whole));
}

#[test]
fn a_body_that_is_no_stream_of_json_is_an_error() {
    for (body, code) in [
        ("", "provider_stream_cut"),
        ("<html><body>Please log in.</body></html>\n\n", "provider_stream_cut"),
        ("data: <html>\n\n", "provider_bad_response"),
        ("data: {\"type\":\n\n", "provider_bad_response"),
        ("data: [1, null, \"x\"]\n\n", "provider_stream_cut"),
    ] {
        let (events, error) = decode(Api::GenerateContent, body.as_bytes(), 64);
        assert_eq!((events, error.map(|e| e.code().as_str())), (Vec::new(), Some(code)), "{body:?}");
    }
}
