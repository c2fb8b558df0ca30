use super::*;
use axum::http::HeaderName;
use proptest::prelude::*;

fn proxies(trusted: &[&str], header: ForwardedHeader) -> Proxies {
    let trusted = trusted.iter().map(|text| text.parse().expect("a network")).collect();
    Proxies { trusted, header, protocol: ProxyProtocol::Auto }
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().expect("a value"));
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

fn client(proxies: &Proxies, lines: &[(&'static str, &str)]) -> String {
    let peer = "10.0.0.1:99".parse().expect("an address");
    proxies.client(peer, &headers(lines)).ip().to_string()
}

const XFF: &str = fields::NAME;
const FWD: &str = forwarded::NAME;

/// Covers: S1-3
#[test]
fn header_of_an_untrusted_peer_is_not_believed() {
    let nobody = Proxies::default();
    assert_eq!(client(&nobody, &[(XFF, "192.0.2.1"), (FWD, "for=192.0.2.1")]), "10.0.0.1");
    let other = proxies(&["10.0.0.2"], ForwardedHeader::Auto);
    assert_eq!(client(&other, &[(XFF, "192.0.2.1")]), "10.0.0.1");
}

/// Covers: S1-3
#[test]
fn rightmost_untrusted_hop_is_the_client() {
    let auto = proxies(&["10.0.0.0/8"], ForwardedHeader::Auto);
    for (header, client_is) in [
        ("192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1", "192.0.2.1"),
        ("198.51.100.9, 192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("10.0.0.9", "10.0.0.9"),
        ("unknown", "10.0.0.1"),
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("192.0.2.1, unknown, 10.0.0.7", "10.0.0.7"),
        ("_hidden", "10.0.0.1"),
        ("", "10.0.0.1"),
        (",", "10.0.0.1"),
        ("192.0.2.1,", "10.0.0.1"),
        ("evil, 192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.7", "192.0.2.1"),
        ("192.0.2.1:99999", "10.0.0.1"),
        ("192.0.2.01", "10.0.0.1"),
        ("[::1", "10.0.0.1"),
    ] {
        assert_eq!(client(&auto, &[(XFF, header)]), client_is, "{header}");
    }
}

/// Covers: S1-3
#[test]
fn forwarded_follows_its_grammar_or_is_not_believed() {
    let auto = proxies(&["10.0.0.0/8"], ForwardedHeader::Auto);
    for (header, client_is) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=\"192.0.2.1:4711\";proto=https;by=10.0.0.7", "192.0.2.1"),
        ("for=\"[2001:db8::1]:80\"", "2001:db8::1"),
        ("for=\"[2001:db8::1]:_http\"", "2001:db8::1"),
        ("for=198.51.100.9, for=192.0.2.1", "192.0.2.1"),
        ("for=192.0.2.1, for=10.0.0.7", "192.0.2.1"),
        ("for=192.0.2.1, by=10.0.0.7", "10.0.0.1"),
        ("for=_secret", "10.0.0.1"),
        ("for=unknown", "10.0.0.1"),
        ("for=192.0.2.1;for=198.51.100.9", "10.0.0.1"),
        ("for=198.51.100.9;x=\", for=192.0.2.1", "10.0.0.1"),
        ("for=198.51.100.9;x=\", for=\"[2001:db8::1]\"", "10.0.0.1"),
        ("for=\"192.0.2.1", "10.0.0.1"),
        ("192.0.2.1", "10.0.0.1"),
        ("", "10.0.0.1"),
    ] {
        assert_eq!(client(&auto, &[(FWD, header)]), client_is, "{header}");
    }
}

#[test]
fn several_header_lines_are_read_from_the_last_one() {
    let auto = proxies(&["10.0.0.0/8"], ForwardedHeader::Auto);
    assert_eq!(client(&auto, &[(XFF, "198.51.100.9"), (XFF, "192.0.2.1")]), "192.0.2.1");
    assert_eq!(client(&auto, &[(XFF, "198.51.100.9, 192.0.2.1"), (XFF, "10.0.0.7")]), "192.0.2.1");
    assert_eq!(client(&auto, &[(FWD, "for=\""), (FWD, "for=192.0.2.1")]), "192.0.2.1");
}

/// Covers: S1-3
#[test]
fn two_headers_that_disagree_are_not_believed() {
    let auto = proxies(&["10.0.0.0/8"], ForwardedHeader::Auto);
    assert_eq!(client(&auto, &[(XFF, "192.0.2.1"), (FWD, "for=198.51.100.9")]), "10.0.0.1");
    assert_eq!(client(&auto, &[(XFF, "192.0.2.1"), (FWD, "for=192.0.2.1")]), "192.0.2.1");
    let named = proxies(&["10.0.0.0/8"], ForwardedHeader::XForwardedFor);
    assert_eq!(client(&named, &[(XFF, "192.0.2.1"), (FWD, "for=198.51.100.9")]), "192.0.2.1");
    assert_eq!(client(&named, &[(FWD, "for=198.51.100.9")]), "10.0.0.1");
    let none = proxies(&["10.0.0.0/8"], ForwardedHeader::None);
    assert_eq!(client(&none, &[(XFF, "192.0.2.1")]), "10.0.0.1");
}

#[test]
fn network_is_an_address_or_a_prefix() {
    for (text, inside, outside) in [
        ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("10.0.0.0/8", "10.9.9.9", "11.0.0.1"),
        ("::ffff:10.0.0.0/104", "10.9.9.9", "11.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("fd00::/8", "fd00::1", "fe80::1"),
    ] {
        let proxies = proxies(&[text], ForwardedHeader::Auto);
        assert!(proxies.trust(inside.parse().expect("an address")), "{text}");
        assert!(!proxies.trust(outside.parse().expect("an address")), "{text}");
    }
    assert!(proxies(&["10.0.0.1"], ForwardedHeader::Auto).trust("::ffff:10.0.0.1".parse().expect("an address")));
    for bad in ["", "10.0.0.0/33", "proxy", "10.0.0.1:80", "fe80::1%eth0"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}

/// Runs longer with `LOCKKEEPER_FUZZ_SECS`, as the other fuzz targets do.
#[expect(clippy::disallowed_methods, reason = "how long to run is no configuration")]
fn cases() -> ProptestConfig {
    let secs = std::env::var("LOCKKEEPER_FUZZ_SECS").ok().and_then(|secs| secs.parse::<u32>().ok()).unwrap_or(0);
    ProptestConfig {
        cases: 2_000 + secs.saturating_mul(20_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Covers: S1-3. Whatever a client puts before what the proxy appends, the result is the client or the proxy.
    #[test]
    fn forged_prefix_names_nobody_else(forged in "[ -~\t]{0,80}", v6 in any::<bool>()) {
        let auto = proxies(&["10.0.0.1"], ForwardedHeader::Auto);
        let real = if v6 { "2001:db8::1" } else { "192.0.2.1" };
        let node = if v6 { "\"[2001:db8::1]:80\"" } else { "192.0.2.1" };
        for (name, line) in [(XFF, format!("{forged}, {real}")), (FWD, format!("{forged}, for={node}"))] {
            let found = client(&auto, &[(name, line.trim())]);
            prop_assert!(found == real || found == "10.0.0.1", "{} gave {}", line, found);
        }
    }

    /// No bytes of a header or of the PROXY protocol panic.
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let auto = proxies(&["10.0.0.1"], ForwardedHeader::Auto);
        if let Ok(value) = axum::http::HeaderValue::from_bytes(&bytes) {
            for name in [XFF, FWD] {
                let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value.clone())]);
                auto.client("10.0.0.1:9".parse().expect("an address"), &headers);
            }
        }
        let _ = preface::parse(&bytes);
        let mut v2 = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        v2.extend(&bytes);
        let _ = preface::parse(&v2);
        let v1 = [b"PROXY ", bytes.as_slice(), b"\r\n"].concat();
        let _ = preface::parse(&v1);
    }
}
