use axum::{
    extract::Request,
    http::{HeaderValue, Uri},
};

/// The same request, in memory of its own.
///
/// Its header values and its URI are slices of the 16 KiB that its connection read them into. Whoever keeps the request
/// as long as a connection, as Socket.IO does, would keep that buffer as well.
pub(crate) async fn compact(request: Request) -> Request {
    let (mut parts, body) = request.into_parts();
    for value in parts.headers.values_mut() {
        let sensitive = value.is_sensitive();
        // What was a header value is one.
        if let Ok(mut copy) = HeaderValue::from_bytes(value.as_bytes()) {
            copy.set_sensitive(sensitive);
            *value = copy;
        }
    }
    if let Ok(copy) = Uri::try_from(parts.uri.to_string()) {
        parts.uri = copy;
    }
    Request::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use bytes::Bytes;

    #[tokio::test]
    async fn nothing_of_the_buffer_is_kept_and_nothing_of_the_request_is_lost() {
        // Trap 7: 16 KB per connection.
        let mut text = b"/socket.io/?EIO=4&sessionId=s%201 localhost:3000 secret".to_vec();
        text.resize(16 << 10, b' ');
        let buffer = Bytes::from(text);
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_maybe_shared(buffer.slice(0..33)).expect("a URI");
        let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).expect("a value");
        request.headers_mut().insert("host", value(34..48));
        request.headers_mut().append("x-twice", value(34..48));
        request.headers_mut().append("x-twice", value(49..55));
        let mut secret = value(49..55);
        secret.set_sensitive(true);
        request.headers_mut().insert("authorization", secret);
        request.extensions_mut().insert(7_u8);
        assert!(!buffer.is_unique());
        let request = compact(request).await;
        assert!(buffer.is_unique());
        assert_eq!(request.uri(), "/socket.io/?EIO=4&sessionId=s%201");
        assert_eq!(request.headers()["host"], "localhost:3000");
        let twice: Vec<_> = request.headers().get_all("x-twice").iter().collect();
        assert_eq!(twice, ["localhost:3000", "secret"]);
        assert!(request.headers()["authorization"].is_sensitive());
        assert_eq!(request.extensions().get::<u8>(), Some(&7));
    }
}
