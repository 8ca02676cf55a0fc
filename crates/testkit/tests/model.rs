//! The scripted model against the real agent programs, and against its own promises.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chatroom_testkit::agents::{self, Setup};
use chatroom_testkit::model::{Model, Outcome, Progress, Reply, Request, Rule};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(5);
const PROMPT: &str = "[[run: echo hello > out.txt && echo written]]";

/// Runs a program once in `folder` the way its user would.
async fn one_shot(setup: Setup, folder: &Path, args: &[&str]) -> Result<Output> {
    setup.write()?;
    let path: OsString = agents::path()?;
    let mut command = Command::new("env");
    command
        .arg(setup.program)
        .args(args)
        .env_clear()
        .env("PATH", path)
        .envs(setup.env)
        .env("HOME", folder)
        // opencode believes this variable rather than the directory it was started in.
        .env("PWD", folder)
        .current_dir(folder)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = tokio::time::timeout(Duration::from_secs(90), output).await;
    Ok(output.context("the program did not finish")???)
}

/// The story every program must tell: it runs the command, reports the output, and ends.
async fn runs_the_marker(setup: fn(&Path, &Model) -> Setup, args: &[&str]) -> Result<()> {
    let model = Model::start().await;
    let folder = tempfile::tempdir()?;
    let setup = setup(folder.path(), &model);

    let output = one_shot(setup, folder.path(), args).await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();

    ensure!(output.status.success(), "{}: {said}\n{complaint}", output.status);
    ensure!(said.contains("done: written"), "it said: {said}\n{complaint}");
    assert_eq!(std::fs::read_to_string(folder.path().join("out.txt"))?, "hello\n");

    let main: Vec<_> = model.requests().into_iter().filter(Request::is_main_call).collect();
    assert_eq!(main.len(), 2, "one call for the command, one for its result");
    for request in &main {
        assert_eq!(request.token(), Some(agents::TOKEN));
        assert_eq!(request.progress, Progress::Finished);
        assert!(request.prompt().contains(PROMPT), "{}", request.prompt());
    }
    let result = main[1].turn.as_ref().and_then(|turn| turn.result.clone());
    let result = result.context("the second call brings the tool's result")?;
    assert_eq!((result.text.trim(), result.outcome), ("written", Outcome::Ran));
    Ok(())
}

#[tokio::test]
async fn claude_runs_a_command_and_ends() -> Result<()> {
    runs_the_marker(agents::claude, &["-p", "--dangerously-skip-permissions", PROMPT]).await
}

#[tokio::test]
async fn opencode_runs_a_command_and_ends() -> Result<()> {
    runs_the_marker(agents::opencode, &["run", "--format", "json", PROMPT]).await
}

#[tokio::test]
async fn pi_runs_a_command_and_ends() -> Result<()> {
    runs_the_marker(agents::pi, &["--mode", "json", PROMPT]).await
}

/// A client that speaks like an agent program.
struct Client {
    http: reqwest::Client,
    model: Model,
}

impl Client {
    async fn start() -> Self {
        // The provider may have been installed by another test of this process.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { http: reqwest::Client::new(), model: Model::start().await }
    }

    fn anthropic(&self, body: &Value) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}/v1/messages", self.model.anthropic_url()))
            .header("x-api-key", "key")
            .header("anthropic-version", "2023-06-01")
            .json(body)
    }

    fn openai(&self, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/chat/completions", self.model.openai_url())).bearer_auth("key").json(body)
    }
}

fn anthropic_body(messages: &Value) -> Value {
    json!({
        "model": "scripted-1", "max_tokens": 100, "messages": messages,
        "tools": [{ "name": "Bash", "input_schema": { "properties": { "command": {}, "description": {} } } }],
    })
}

fn openai_body(messages: &Value) -> Value {
    let function = json!({ "name": "bash", "parameters": { "properties": { "command": {} } } });
    json!({
        "model": "scripted-1", "messages": messages,
        "tools": [{ "type": "function", "function": function }],
    })
}

#[tokio::test]
async fn markers_run_one_after_another() -> Result<()> {
    let client = Client::start().await;
    let script = "<task>\n[[run: first]]\nthen [[say: half way]] [[run: second]]\n</task>";
    let mut messages = json!([{ "role": "user", "content": script }]);
    let mut seen = Vec::new();
    for output in ["1", "2"] {
        let answer: Value = client.anthropic(&anthropic_body(&messages)).send().await?.json().await?;
        let call = answer["content"].as_array().and_then(|blocks| blocks.last()).context("a call")?;
        seen.push(format!("{} {}", answer["content"][0]["text"], call["input"]["command"]));
        let result = json!({ "type": "tool_result", "tool_use_id": call["id"], "content": output });
        let messages = messages.as_array_mut().context("messages")?;
        messages.push(json!({ "role": "assistant", "content": answer["content"] }));
        messages.push(json!({ "role": "user", "content": [result] }));
    }
    let last: Value = client.anthropic(&anthropic_body(&messages)).send().await?.json().await?;

    assert_eq!(seen, ["null \"first\"", "\"half way\" \"second\""]);
    assert_eq!(last["content"][0]["text"], "done: 2");
    assert_eq!(last["stop_reason"], "end_turn");
    Ok(())
}

#[tokio::test]
async fn a_refused_command_ends_the_turn() -> Result<()> {
    let client = Client::start().await;
    let call = json!({ "type": "tool_use", "id": "t1", "name": "Bash", "input": {} });
    let result =
        json!({ "type": "tool_result", "tool_use_id": "t1", "content": "not on my machine", "is_error": true });
    let messages = json!([
        { "role": "user", "content": "[[run: a]] [[run: b]]" },
        { "role": "assistant", "content": [call] },
        { "role": "user", "content": [result] },
    ]);
    let answer: Value = client.anthropic(&anthropic_body(&messages)).send().await?.json().await?;
    assert_eq!(answer["content"][0]["text"], "denied: not on my machine");
    Ok(())
}

#[tokio::test]
async fn only_the_newest_prompt_counts() -> Result<()> {
    let client = Client::start().await;
    for (messages, expected) in [
        (json!([{ "role": "user", "content": "hello" }]), "ok"),
        (
            json!([
                { "role": "user", "content": "[[hang]]" },
                { "role": "user", "content": "hello again" },
            ]),
            "ok",
        ),
        (
            json!([
                { "role": "user", "content": "[[run: old]]" },
                { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1" }] },
                { "role": "tool", "tool_call_id": "c1", "content": "Command aborted" },
                { "role": "user", "content": "[[say: new]]" },
            ]),
            "new",
        ),
    ] {
        let answer: Value = client.openai(&openai_body(&messages)).send().await?.json().await?;
        assert_eq!(answer["choices"][0]["message"]["content"], expected, "{messages}");
    }
    Ok(())
}

#[tokio::test]
async fn a_background_call_gets_a_title() -> Result<()> {
    let client = Client::start().await;
    let body = json!({ "model": "scripted-small", "messages": [{ "role": "user", "content": PROMPT }] });
    let answer: Value = client.openai(&body).send().await?.json().await?;
    assert_eq!(answer["choices"][0]["message"]["content"], "Scripted title");
    Ok(())
}

#[tokio::test]
async fn rules_go_before_markers_and_the_newest_rule_first() -> Result<()> {
    let client = Client::start().await;
    let model = &client.model;
    model.rule(Rule::prompt_contains("deploy").then(Reply::text("first rule")));
    model.rule(Rule::when(|turn| turn.prompt.contains("deploy now")).then(Reply::error(429)));
    model.rule(Rule::prompt_contains("who").then_with(|turn| Reply::text(&turn.model).usage(7, 3)));

    let ask = |text: &str| {
        let body = openai_body(&json!([{ "role": "user", "content": text }]));
        client.openai(&body).send()
    };
    let first: Value = ask("deploy").await?.json().await?;
    assert_eq!(first["choices"][0]["message"]["content"], "first rule");
    assert_eq!(ask("deploy now").await?.status(), 429);
    let who: Value = ask("who").await?.json().await?;
    assert_eq!(who["choices"][0]["message"]["content"], "scripted-1");
    assert_eq!(who["usage"]["total_tokens"], 10);
    Ok(())
}

#[tokio::test]
async fn a_hang_up_is_seen() -> Result<()> {
    let client = Client::start().await;
    let model = &client.model;
    for vendor in ["anthropic", "openai"] {
        let messages = json!([{ "role": "user", "content": format!("{vendor} [[say: thinking]] [[hang]]") }]);
        let mut answer = if vendor == "anthropic" {
            let mut body = anthropic_body(&messages);
            body["stream"] = json!(true);
            client.anthropic(&body).send().await?
        } else {
            let mut body = openai_body(&messages);
            body["stream"] = json!(true);
            client.openai(&body).send().await?
        };
        let mut heard = String::new();
        while !heard.contains("thinking") {
            let chunk = answer.chunk().await?.context("the answer ended")?;
            heard.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert_eq!(model.open_streams(), 1);

        drop(answer);
        model.wait_for_open_streams(0, SOON).await?;
        let cut = model.wait_for(|request| request.prompt().contains(vendor), SOON).await?;
        assert_eq!(cut.progress, Progress::Cut);
    }
    Ok(())
}

#[tokio::test]
async fn slow_text_arrives_piece_by_piece() -> Result<()> {
    let client = Client::start().await;
    let pause = Duration::from_millis(100);
    let reply = Reply::slow_text(["one ", "two ", "three"], pause);
    client.model.rule(Rule::prompt_contains("slowly").then(reply));
    let mut body = openai_body(&json!([{ "role": "user", "content": "slowly" }]));
    body["stream"] = json!(true);
    body["stream_options"] = json!({ "include_usage": true });

    let began = std::time::Instant::now();
    let mut answer = client.openai(&body).send().await?;
    let (mut pieces, mut text) = (0, String::new());
    while let Some(chunk) = answer.chunk().await? {
        pieces += 1;
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(pieces >= 3, "{pieces} pieces");
    assert!(began.elapsed() >= pause * 3);
    assert!(text.contains("\"total_tokens\":120") && text.ends_with("data: [DONE]\n\n"), "{text}");
    let done = client.model.wait_for(|request| request.progress == Progress::Finished, SOON);
    assert_eq!(done.await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn what_the_real_services_refuse_is_refused() -> Result<()> {
    let client = Client::start().await;
    let hello = json!([{ "role": "user", "content": "hello" }]);
    let unanswered = json!([
        { "role": "user", "content": "hello" },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t1", "name": "Bash", "input": {} }] },
        { "role": "user", "content": "and?" },
    ]);
    let unasked =
        json!([{ "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t9", "content": "x" }] }]);
    let without = |field: &str| {
        let mut body = anthropic_body(&hello);
        body[field].take();
        body
    };
    let mut unknown_model = anthropic_body(&hello);
    unknown_model["model"] = json!("no-such-model");

    for (body, status, part) in [
        (without("max_tokens"), 400, "max_tokens"),
        (without("messages"), 400, "messages"),
        (without("model"), 400, "model"),
        (unknown_model, 404, "no-such-model"),
        (anthropic_body(&unanswered), 400, "`tool_use` ids were found without `tool_result`"),
        (anthropic_body(&unasked), 400, "unexpected `tool_use_id`"),
    ] {
        let answer = client.anthropic(&body).send().await?;
        assert_eq!(answer.status(), status, "{part}");
        let problem: Value = answer.json().await?;
        assert_eq!(problem["type"], "error", "{part}");
        let message = problem["error"]["message"].as_str().context("a message")?;
        assert!(message.contains(part), "{message}");
    }

    let unanswered = json!([
        { "role": "user", "content": "hello" },
        { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1" }] },
        { "role": "user", "content": "and?" },
    ]);
    let answer = client.openai(&openai_body(&unanswered)).send().await?;
    assert_eq!(answer.status(), 400);
    let problem: Value = answer.json().await?;
    assert_eq!(problem["error"]["type"], "invalid_request_error");

    for route in ["anthropic/v1/messages", "openai/v1/chat/completions"] {
        let url = format!("{}/{route}", client.model.url());
        let answer = client.http.post(url).json(&anthropic_body(&hello)).send().await?;
        assert_eq!(answer.status(), 401, "{route} without a credential");
    }
    let elsewhere = client.http.get(format!("{}/anthropic/v1/nothing", client.model.url()));
    assert_eq!(elsewhere.send().await?.status(), 404);
    Ok(())
}

#[tokio::test]
async fn models_and_token_counts_are_answered() -> Result<()> {
    let client = Client::start().await;
    let models = |url: String| {
        let request = client.http.get(url).bearer_auth("key");
        request.header("anthropic-version", "2023-06-01").send()
    };
    for base in [format!("{}/v1", client.model.anthropic_url()), client.model.openai_url()] {
        let list: Value = models(format!("{base}/models")).await?.json().await?;
        assert_eq!(list["data"][0]["id"], "scripted-1", "{base}");
    }
    let counting = client
        .http
        .post(format!("{}/v1/messages/count_tokens", client.model.anthropic_url()))
        .header("x-api-key", "key")
        .header("anthropic-version", "2023-06-01")
        .json(&json!({ "model": "scripted-1", "messages": [{ "role": "user", "content": "hello" }] }));
    let count: Value = counting.send().await?.json().await?;
    assert!(count["input_tokens"].as_u64().is_some_and(|count| count > 0), "{count}");
    Ok(())
}
