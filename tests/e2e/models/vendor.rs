use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The one model that the vendor has.
pub(super) const MODEL: &str = "vendor-model-1";

/// A vendor that speaks OpenAI's Chat Completions, and remembers who paid. It ends with the case.
pub(super) struct Vendor {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    keys: Vec<String>,
    lists: usize,
}

impl Vendor {
    /// It knows these keys; without any, it wants none.
    pub(super) async fn start(keys: &[&str]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, seen) = (listener.local_addr()?, Arc::<Mutex<Seen>>::default());
        let known: Arc<[String]> = keys.iter().map(|key| (*key).to_owned()).collect();
        let mut tasks = JoinSet::new();
        let remember = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (known, seen) = (Arc::clone(&known), Arc::clone(&remember));
                connections.spawn(async move {
                    // A client that hangs up is no failure.
                    let _ = serve(stream, &known, &seen).await;
                });
            }
        });
        Ok(Self { address, seen, _tasks: tasks })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The keys of all requests, in their order.
    pub(super) fn keys(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).keys.clone()
    }

    /// How often its models were asked for.
    pub(super) fn lists(&self) -> usize {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).lists
    }
}

async fn serve(mut stream: TcpStream, known: &[String], seen: &Mutex<Seen>) -> Result<()> {
    let (head, body) = read(&mut stream).await?;
    let header = |wanted: &str| {
        let line =
            |line: &str| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        head.lines().filter_map(line).find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    let key = header("authorization").unwrap_or_default().trim_start_matches("Bearer ").to_owned();
    let is_list = head.starts_with("GET /v1/models");
    {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !key.is_empty() {
            seen.keys.push(key.clone());
        }
        seen.lists += usize::from(is_list);
    }
    if !known.is_empty() && !known.contains(&key) {
        // As the real one: it repeats the key.
        let message = format!("Incorrect API key provided: {key}.");
        let error = json!({"error": {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}});
        return answer(&mut stream, "401 Unauthorized", &error).await;
    }
    if is_list {
        return answer(&mut stream, "200 OK", &json!({"object": "list", "data": [{"id": MODEL, "object": "model"}]}))
            .await;
    }
    let request: Value = serde_json::from_slice(&body)?;
    if request["model"] != MODEL {
        let message = format!("The model `{}` does not exist.", request["model"].as_str().unwrap_or_default());
        let error = json!({"error": {"message": message, "type": "invalid_request_error", "code": "model_not_found"}});
        return answer(&mut stream, "404 Not Found", &error).await;
    }
    let last = request["messages"].as_array().and_then(|messages| messages.last()).map(Value::to_string);
    speak(&mut stream, last.is_some_and(|last| last.contains("hang, please"))).await
}

/// Streams an answer; one that hangs goes on until the client has gone.
async fn speak(stream: &mut TcpStream, hangs: bool) -> Result<()> {
    let chunk = |delta: Value, finish: Value| {
        let choice = json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let chunk =
            json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": choice});
        format!("data: {chunk}\n\n")
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    let text = chunk(json!({"role": "assistant", "content": "hello from the vendor"}), Value::Null);
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    if hangs {
        let mut rest = [0; 64];
        while stream.read(&mut rest).await? > 0 {}
        return Ok(());
    }
    let end = chunk(json!({}), json!("stop"));
    stream.write_all(format!("{end}data: [DONE]\n\n").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

async fn answer(stream: &mut TcpStream, status: &str, body: &Value) -> Result<()> {
    let (body, length) = (body.to_string(), body.to_string().len());
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}

/// The head of a request, and its body.
async fn read(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        anyhow::ensure!(stream.read_buf(&mut bytes).await? > 0, "the client has gone");
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec())?;
    let length = |line: &str| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().to_owned());
    let length: usize = head.lines().find_map(length).map_or(Ok(0), |n| n.parse()).context("a length")?;
    let mut body = bytes.split_off(end + 4);
    while body.len() < length {
        anyhow::ensure!(stream.read_buf(&mut body).await? > 0, "the body is cut");
    }
    Ok((head, body))
}
