//! One PostgreSQL for a whole run of the tests.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use anyhow::Context;

use crate::cargo;

/// A running server; it stops when this is dropped, and also when this process dies.
pub struct Database {
    owner: Child,
    url: String,
}

impl Database {
    /// Starts the server that `testkit` knows how to start.
    pub fn start() -> anyhow::Result<Self> {
        let mut owner = cargo(&["run", "--quiet", "--package", "chatroom-testkit", "--bin", "test-postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let output = owner.stdout.take().context("its output is not piped")?;
        BufReader::new(output).read_line(&mut url)?;
        let url = url.trim().to_owned();
        let mut database = Self { owner, url };
        if database.url.is_empty() {
            let status = database.owner.wait()?;
            anyhow::bail!("PostgreSQL for the tests did not start ({status})");
        }
        println!("{}", database.url);
        Ok(database)
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.owner.stdin.take());
        if let Err(error) = self.owner.wait() {
            println!("PostgreSQL for the tests: {error}");
        }
    }
}
