//! Requests made up from the API description, against a real server: no answer is a fault of the server, and every
//! answer is one the description names.
//!
//! The same seed makes the same requests, as long as the description is the same.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::{bring, cargo, root, run};

const SEED: &str = "20261121";
/// Requests for each route and way of making them up.
const EXAMPLES: &str = "25";
/// What must hold for every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance";
/// What would end the session everything else is tried with.
const ENDS_THE_SESSION: &[&str] = &["/api/auth/sign-out", "/api/auth/password", "/api/auth/sessions"];

/// Runs it; `database` is a PostgreSQL server for the tests, otherwise the server has a SQLite file.
pub fn check(database: Option<&str>) -> anyhow::Result<()> {
    let server = Server::start(database)?;
    let mut tries = Command::new(bring::python_program("schemathesis")?);
    tries.arg("run").arg(root().join("openapi.json"));
    tries.args(["--url", &server.url, "--header", &format!("Authorization: Bearer {}", server.token)]);
    tries.args(["--checks", CHECKS, "--max-examples", EXAMPLES, "--seed", SEED]);
    // One worker: Python 3.11 now and then fails by itself where two threads build syntax trees at once.
    tries.args(["--phases", "examples,coverage,fuzzing", "--request-timeout", "10", "--workers", "1"]);
    tries.args(["--generation-database", "none", "--no-shrink", "--warnings", "off", "--no-color"]);
    for path in ENDS_THE_SESSION {
        tries.args(["--exclude-path", path]);
    }
    // It leaves a folder behind where it is started.
    let folder = std::env::temp_dir();
    run(tries.current_dir(folder))
}

/// A real server; it stops when this is dropped, and also when this process dies.
struct Server {
    owner: Child,
    url: String,
    token: String,
}

impl Server {
    fn start(database: Option<&str>) -> anyhow::Result<Self> {
        let mut command = cargo(&["run", "--quiet", "--package", "chatroom-testkit", "--bin", "test-server"]);
        if let Some(database) = database {
            command.env("TEST_POSTGRES_URL", database).env("CHATROOM_TEST_DB", "postgres");
        }
        let mut owner = command.env("RUST_LOG", "off").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let output = owner.stdout.take().context("its output is not piped")?;
        BufReader::new(output).read_line(&mut line)?;
        if let Some((url, token)) = line.trim().split_once(' ') {
            return Ok(Self { url: url.to_owned(), token: token.to_owned(), owner });
        }
        let status = owner.wait()?;
        anyhow::bail!("the server did not start ({status})")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.owner.stdin.take());
        if let Err(error) = self.owner.wait() {
            println!("the server that was tried: {error}");
        }
    }
}
