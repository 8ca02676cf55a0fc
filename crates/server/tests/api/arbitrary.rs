//! Whatever is sent to any route: an answer the description names, and never a fault of the server.

use std::cell::RefCell;
use std::time::Duration;

use chatroom_testkit::world::{Answer, Client, World};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::walk::{Cast, Route, Things, body, routes};

/// Text that has broken something somewhere before.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "\0",
            "a\0b",
            "builder",
            "user",
            "system",
            "../../etc/passwd",
            "' OR 1=1 --",
            "\u{202e}gnp",
            "💥",
            "room_01HF7YAT000000000000000007",
            "cmd_01HF7YAT000000000000000007",
            "9223372036854775808",
            "-1",
            "NaN",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
        (1usize..3_000).prop_map(|count| "é".repeat(count)),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(text(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// What is put in place of a body that fits.
#[derive(Debug, Clone)]
enum Sent {
    AsItShould,
    /// One of its fields is something else.
    Field(Index, Value),
    Json(Value),
    Bytes(Vec<u8>),
    Nothing,
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        2 => Just(Sent::AsItShould),
        5 => (any::<Index>(), json_value()).prop_map(|(at, value)| Sent::Field(at, value)),
        2 => json_value().prop_map(Sent::Json),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Sent::Bytes),
        1 => Just(Sent::Nothing),
    ]
}

fn encoded(text: &str) -> String {
    url_encoded(text.bytes())
}

fn url_encoded(bytes: impl Iterator<Item = u8>) -> String {
    bytes
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// One request that anybody could send.
#[derive(Debug, Clone)]
struct Try {
    route: Index,
    caller: Index,
    /// What a part of the path is replaced by, if it is.
    part: Option<(Index, String)>,
    query: Vec<(&'static str, String)>,
    sent: Sent,
}

fn tries() -> impl Strategy<Value = Try> {
    let names = [
        "limit",
        "after",
        "instance",
        "status",
        "sinceMessageId",
        "senderRole",
        "cookie",
        "offset",
        "live",
        "cursor",
        "text",
        "from",
        "event",
        "search",
        "before",
        "kind",
        "since",
        "until",
        "chatroom",
        "machine",
        "user",
        "format",
        "q",
        "archived",
    ];
    let query = prop::collection::vec((prop::sample::select(names.to_vec()), text()), 0..3);
    let part = prop::option::weighted(0.3, (any::<Index>(), text()));
    (any::<Index>(), any::<Index>(), part, query, sent()).prop_map(|(route, caller, part, query, sent)| Try {
        route,
        caller,
        part,
        query,
        sent,
    })
}

fn path(attempt: &Try, route: &Route, things: &Things) -> String {
    // What is taken away is something unknown, so that there is something left to try things with.
    let ends = route.method == Method::DELETE || route.path.contains("/password");
    let mut path = if ends { Things::unknown().path(route) } else { things.path(route) };
    let holes: Vec<usize> =
        route.path.split('/').enumerate().filter(|(_, part)| part.starts_with('{')).map(|(at, _)| at).collect();
    // A client takes dots for the way to another address, and asks for that.
    if let Some((at, other)) = attempt.part.as_ref().filter(|(_, other)| !holes.is_empty() && !is_dots(other)) {
        let at = holes[at.index(holes.len())];
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        parts[at] = encoded(other);
        path = parts.join("/");
    }
    let query: Vec<String> = attempt.query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let joint = if path.contains('?') { '&' } else { '?' };
    if query.is_empty() { path } else { format!("{path}{joint}{}", query.join("&")) }
}

fn is_dots(part: &str) -> bool {
    part == "." || part == ".."
}

async fn call(client: &Client, attempt: &Try, route: &Route, things: &Things) -> Option<Answer> {
    let request = client.request(route.method.clone(), &path(attempt, route, things));
    let fits = body(route);
    let bytes = match (&attempt.sent, fits) {
        (Sent::AsItShould, Some(fits)) => fits.to_string().into_bytes(),
        (Sent::Field(at, value), Some(mut fits)) => {
            if let Some(fields) = fits.as_object_mut().filter(|fields| !fields.is_empty()) {
                let name = fields.keys().nth(at.index(fields.len())).cloned().unwrap_or_default();
                fields.insert(name, value.clone());
            }
            fits.to_string().into_bytes()
        }
        (Sent::Field(_, value) | Sent::Json(value), _) => value.to_string().into_bytes(),
        (Sent::Bytes(bytes), _) => bytes.clone(),
        (Sent::AsItShould | Sent::Nothing, _) => Vec::new(),
    };
    let request = request.header("content-type", "application/json").body(bytes);
    // A wait is held, and may be.
    tokio::time::timeout(Duration::from_secs(3), client.send(request)).await.ok()
}

fn is_described(route: &Route, answer: &Answer) -> bool {
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    let class = format!("{}XX", answer.status / 100);
    route.answers.iter().any(|(status, kinds)| {
        let of_status = *status == answer.status.to_string() || *status == class;
        let of_kind = kinds.iter().any(|known| known == kind) || (kinds.is_empty() && answer.raw.is_empty());
        of_status && of_kind
    })
}

#[test]
fn whatever_is_sent_to_any_route_the_answer_is_a_described_one() {
    let runtime = Runtime::new().unwrap();
    let cast = runtime.block_on(Cast::gather());
    let routes = routes();
    let alice = RefCell::new(runtime.block_on(cast.fresh(&cast.alice)));
    let mut config = Config::with_cases(1_000);
    config.source_file = Some(file!());
    config.max_shrink_iters = 200;
    let checked = TestRunner::new(config).run(&tries(), |attempt| {
        let route = &routes[attempt.route.index(routes.len())];
        runtime.block_on(async {
            let signed_in = alice.borrow().clone();
            let callers = [signed_in, cast.machine.clone(), cast.run.clone(), cast.world.anonymous()];
            let named: Vec<&Client> = callers
                .iter()
                .zip(["session", "machine", "run", "nobody"])
                .filter(|(_, kind)| route.callers.is_empty() || route.callers.iter().any(|caller| caller == kind))
                .map(|(client, _)| client)
                .collect();
            let client = named[attempt.caller.index(named.len())];
            let Some(answer) = call(client, &attempt, route, &cast.things).await else { return Ok(()) };
            if answer.status == 401 || route.path.contains("/auth/s") {
                // It may have ended its own session.
                let again = cast.fresh(&cast.alice).await;
                alice.replace(again);
            }
            prop_assert!(answer.status < 500, "{}: {} {}", route.name(), answer.status, answer.raw);
            if answer.status >= 400 {
                prop_assert_eq!(
                    answer.header("content-type"),
                    "application/problem+json",
                    "{}: {}",
                    route.name(),
                    answer.raw
                );
                prop_assert_eq!(&answer.body["status"], answer.status, "{}: {}", route.name(), answer.raw);
                prop_assert!(answer.body["code"].is_string(), "{}: {}", route.name(), answer.raw);
            }
            let gone = attempt.part.is_some() && matches!(answer.status, 404 | 405);
            prop_assert!(
                gone || is_described(route, &answer),
                "{} answers {} {}, which is not described",
                route.name(),
                answer.status,
                answer.header("content-type")
            );
            Ok(())
        })
    });
    if let Err(failed) = checked {
        panic!("{failed}");
    }
}

#[test]
fn whatever_code_a_device_shows_it_gets_nothing_and_soon_must_wait() {
    let runtime = Runtime::new().unwrap();
    let (world, alice) = runtime.block_on(async {
        let world = World::start().await;
        let alice = world.user("alice").await;
        (world, alice)
    });
    let nobody = world.anonymous();
    let mut config = Config::with_cases(150);
    config.source_file = Some(file!());
    let limited = std::cell::Cell::new(0);
    let shown = (text(), json_value(), prop::bool::ANY);
    let checked = TestRunner::new(config).run(&shown, |(code, body, advance)| {
        runtime.block_on(async {
            let path = format!("/api/auth/device/{}", encoded(&code));
            let poll = if advance { json!({ "deviceCode": code }) } else { body.clone() };
            for answer in [
                alice.get(&path).await,
                alice.post(&path, json!({ "decision": "allow" })).await,
                nobody.post("/api/auth/device/token", poll).await,
                nobody.post("/api/auth/device", body.clone()).await,
            ] {
                prop_assert!((400..500).contains(&answer.status), "{} {}", answer.status, answer.raw);
                prop_assert_eq!(answer.header("content-type"), "application/problem+json");
                if answer.status == 429 {
                    limited.set(limited.get() + 1);
                    prop_assert!(
                        answer.header("retry-after").parse::<u32>().is_ok_and(|wait| wait > 0),
                        "{}",
                        answer.raw
                    );
                }
            }
            Ok(())
        })
    });
    if let Err(failed) = checked {
        panic!("{failed}");
    }
    assert!(limited.get() > 0, "guessing was never slowed down");
}
