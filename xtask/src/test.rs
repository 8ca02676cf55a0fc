//! `cargo xtask test`: everything that has to hold before a change is taken.

use crate::database::Database;
use crate::steps::Steps;
use crate::{bring, cargo, conformance, openapi, schemathesis, web};

pub fn run() -> anyhow::Result<()> {
    let mut steps = Steps::begin();
    steps.step("bring what is missing", bring::all);
    steps.step("format", || run_cargo(&["fmt", "--all", "--check"]));
    steps.step("lints", || {
        run_cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])
    });
    let database = steps.step("database", Database::start);
    steps.step("tests", || {
        let mut tests = cargo(&["test", "--workspace", "--no-fail-fast", "--locked"]);
        if let Some(database) = &database {
            tests.env("TEST_POSTGRES_URL", database.url());
        }
        super::run(&mut tests)
    });
    if let Some(database) = &database {
        // The stories of the store tell themselves on both; those of the API are told again.
        steps.step("API tests on PostgreSQL", || {
            let mut tests = cargo(&["test", "--package", "chatroom-server", "--test", "api", "--locked"]);
            tests.env("TEST_POSTGRES_URL", database.url()).env("CHATROOM_TEST_DB", "postgres");
            super::run(&mut tests)
        });
    }
    steps.step("API description", openapi::check);
    steps.step("web app", web::check);
    steps.step("made-up requests", || schemathesis::check(None));
    if let Some(database) = &database {
        steps.step("made-up requests on PostgreSQL", || schemathesis::check(Some(database.url())));
    }
    drop(database);
    steps.step("conformance of the streams", conformance::check);
    steps.step("documentation", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
        super::run(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    });
    steps.finish()
}

fn run_cargo(arguments: &[&str]) -> anyhow::Result<()> {
    super::run(&mut cargo(arguments))
}
