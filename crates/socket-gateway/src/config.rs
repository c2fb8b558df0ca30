use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// The limits and times of the Socket.IO interface.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which web pages may connect, as browsers write it: `https://chat.example.com`, `http://localhost:5173`. None by
    /// default, which leaves the pages that the server itself serves. Another port is another origin, on localhost too.
    pub allowed_origins: Vec<String>,
    /// By which names, besides those of `allowed_origins`, clients may reach the server: `chat.example.com`. `localhost` and
    /// IP addresses always work. Requests with another name in `Host` are refused on every route, because a web page can
    /// point its own name at the server.
    pub allowed_hosts: Vec<String>,
    /// The largest packet, in bytes, over WebSocket and polling alike: 256 KiB.
    pub max_payload_bytes: usize,
    /// The longest text of a message, in bytes: 64 KiB.
    pub max_message_bytes: usize,
    /// The longest reason of a denial, in bytes: 4 KiB.
    pub max_reason_bytes: usize,
    /// How deep the JSON of a payload may be nested: 32.
    pub max_json_depth: usize,
    /// How many packets wait for a client that reads slowly: 256. More wait in the log.
    pub max_buffered_packets: usize,
    /// How many events of one connection may wait to be handled: 64. More are refused as `busy`.
    pub max_waiting_events: usize,
    /// How many bytes those events may have: 1 MiB. More are refused as `busy`.
    pub max_waiting_bytes: usize,
    /// How many events a connection may send at once: 20. More are refused as `rate_limited`.
    pub event_burst: u32,
    /// How many events a connection may send per second after that: 5.
    pub events_per_sec: u32,
    /// How many answers (`tool:approval`, `budget:answer`, `turn:cancel`) a connection may send at once: 64. They have this
    /// limit instead of those of events, and the first answer to each question that the connection was shown has none.
    pub answer_burst: u32,
    /// How many answers a connection may send per second after that: 10.
    pub answers_per_sec: u32,
    /// How many events all connections of one principal may send at once: 80. More are refused as `rate_limited`.
    pub event_burst_per_principal: u32,
    /// How many events they may send per second after that: 20.
    pub events_per_sec_per_principal: u32,
    /// How many events all connections from one address (one /64 network of IPv6) may send at once: 400. Many users may share
    /// an address. More are refused as `rate_limited`.
    pub event_burst_per_address: u32,
    /// How many events they may send per second after that: 100.
    pub events_per_sec_per_address: u32,
    /// How many events all connections may send at once: 5000. More are refused as `busy`.
    pub event_burst_in_all: u32,
    /// How many events they may send per second after that: 2000.
    pub events_per_sec_in_all: u32,
    /// How many packets that are no events (handshakes, pings, acknowledgements, packets of unknown namespaces) a connection
    /// may send at once: 32. More end it.
    pub packet_burst: u32,
    /// How many of them it may send per second after that: 2.
    pub packets_per_sec: u32,
    /// How long a client may take to fetch why it was refused, in seconds: 5. Then its transport is closed. It counts
    /// in no limit of connections meanwhile.
    pub farewell_secs: u64,
    /// How many refused events end a connection, unless they are spread over time: 200.
    pub flood_refusals: u32,
    /// How many connections there may be in all: 1024.
    pub max_connections: usize,
    /// How many connections one address (one /64 network of IPv6) may have: 50.
    pub max_connections_per_address: usize,
    /// How many connections one principal may have: 16. A connection that died unnoticed counts until its ping times out,
    /// so this leaves room for several tabs on a bad network.
    pub max_connections_per_principal: usize,
    /// How many connections one address may open at once: 50.
    pub connection_burst: u32,
    /// How many connections one address may open per second after that: 10.
    pub connections_per_sec: u32,
    /// How long a client may take from its connection to its handshake, in seconds: 10.
    pub connect_timeout_secs: u64,
    /// How long a connection stays open whose token has expired, in seconds: 15. In that time it sees what goes on and may bring
    /// a fresh token, and does nothing else.
    pub expiry_grace_secs: u64,
    /// How often a client is pinged, in seconds: 25.
    pub ping_interval_secs: u64,
    /// How long it may take to answer, in seconds: 20.
    pub ping_timeout_secs: u64,
    /// How long a client may read nothing while something waits for it, in seconds: 30. Then it is disconnected.
    pub slow_client_secs: u64,
    /// How many messages a page of the history has at most: 50.
    pub max_history_page: usize,
    /// How many sessions a list of them has at most: 100.
    pub max_listed_sessions: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            allowed_hosts: Vec::new(),
            max_payload_bytes: 256 << 10,
            max_message_bytes: 64 << 10,
            max_reason_bytes: 4 << 10,
            max_json_depth: 32,
            max_buffered_packets: 256,
            max_waiting_events: 64,
            max_waiting_bytes: 1 << 20,
            event_burst: 20,
            events_per_sec: 5,
            answer_burst: 64,
            answers_per_sec: 10,
            event_burst_per_principal: 80,
            events_per_sec_per_principal: 20,
            event_burst_per_address: 400,
            events_per_sec_per_address: 100,
            event_burst_in_all: 5_000,
            events_per_sec_in_all: 2_000,
            packet_burst: 32,
            packets_per_sec: 2,
            farewell_secs: 5,
            flood_refusals: 200,
            max_connections: 1024,
            max_connections_per_address: 50,
            max_connections_per_principal: 16,
            connection_burst: 50,
            connections_per_sec: 10,
            connect_timeout_secs: 10,
            expiry_grace_secs: 15,
            ping_interval_secs: 25,
            ping_timeout_secs: 20,
            slow_client_secs: 30,
            max_history_page: 50,
            max_listed_sessions: 100,
        }
    }
}

impl Config {
    /// What is wrong with the values, each with its key; empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut least = |key, value: u64, least: u64| {
            if value < least {
                problems.push((key, format!("is {value} and must be at least {least}")));
            }
        };
        least("max_payload_bytes", self.max_payload_bytes as u64, 1024);
        least("max_message_bytes", self.max_message_bytes as u64, 1);
        least("max_json_depth", self.max_json_depth as u64, 4);
        least("max_buffered_packets", self.max_buffered_packets as u64, 8);
        least("max_waiting_events", self.max_waiting_events as u64, 1);
        // Any packet that is allowed at all must fit into an empty queue.
        least("max_waiting_bytes", self.max_waiting_bytes as u64, self.max_payload_bytes as u64);
        least("event_burst", self.event_burst.into(), 1);
        least("events_per_sec", self.events_per_sec.into(), 1);
        least("answer_burst", self.answer_burst.into(), 1);
        least("answers_per_sec", self.answers_per_sec.into(), 1);
        least("event_burst_per_principal", self.event_burst_per_principal.into(), 1);
        least("events_per_sec_per_principal", self.events_per_sec_per_principal.into(), 1);
        least("event_burst_per_address", self.event_burst_per_address.into(), 1);
        least("events_per_sec_per_address", self.events_per_sec_per_address.into(), 1);
        least("event_burst_in_all", self.event_burst_in_all.into(), 1);
        least("events_per_sec_in_all", self.events_per_sec_in_all.into(), 1);
        // A handshake, an upgrade, and a first answer to a ping must fit.
        least("packet_burst", self.packet_burst.into(), 8);
        least("packets_per_sec", self.packets_per_sec.into(), 1);
        least("flood_refusals", self.flood_refusals.into(), 1);
        least("max_connections", self.max_connections as u64, 1);
        least("max_connections_per_address", self.max_connections_per_address as u64, 1);
        least("max_connections_per_principal", self.max_connections_per_principal as u64, 1);
        least("connection_burst", self.connection_burst.into(), 1);
        least("connections_per_sec", self.connections_per_sec.into(), 1);
        least("connect_timeout_secs", self.connect_timeout_secs, 1);
        least("ping_interval_secs", self.ping_interval_secs, 1);
        least("ping_timeout_secs", self.ping_timeout_secs, 1);
        least("slow_client_secs", self.slow_client_secs, 1);
        least("max_history_page", self.max_history_page as u64, 1);
        least("max_listed_sessions", self.max_listed_sessions as u64, 1);
        let most = tokio::sync::Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        if self.max_waiting_bytes > most {
            problems.push(("max_waiting_bytes", format!("is {} and may be at most {most}", self.max_waiting_bytes)));
        }
        for origin in &self.allowed_origins {
            if !crate::http::is_origin(origin) {
                let found = format!("holds {origin:?}, which is no origin: write https://name or https://name:port");
                problems.push(("allowed_origins", found));
            }
        }
        problems
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_secs)
    }

    pub(crate) fn expiry_grace(&self) -> Duration {
        Duration::from_secs(self.expiry_grace_secs)
    }

    pub(crate) fn slow_client(&self) -> Duration {
        Duration::from_secs(self.slow_client_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem_and_bad_values_are_all_named() {
        assert_eq!(Config::default().problems(), []);
        let origins = ["https://a.example", "http://b:8080", "null", "a.example", "https://a/b", "*"];
        let allowed_origins = origins.map(str::to_owned).to_vec();
        let bad = Config { event_burst: 0, max_waiting_bytes: 1, allowed_origins, ..Config::default() };
        let keys: Vec<_> = bad.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["max_waiting_bytes", "event_burst", "allowed_origins", "allowed_origins", "allowed_origins"]);
    }
}
