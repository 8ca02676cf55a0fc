//! The throw-away PostgreSQL: every test its own database, and nothing left behind.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chatroom_testkit::postgres::{self, Cluster};
use url::Url;

fn ask(database: &Url, sql: &str) -> Result<String> {
    let output = Command::new("psql")
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--command", sql])
        .arg(database.as_str())
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn databases_do_not_see_each_other() -> Result<()> {
    let begun: Vec<_> = (0..8).map(|_| tokio::spawn(postgres::fresh_database())).collect();
    let mut databases = Vec::new();
    for database in begun {
        databases.push(database.await??);
    }
    for database in &databases {
        ask(database, "CREATE TABLE rooms (id BIGINT)")?;
    }
    Ok(())
}

#[test]
fn a_cluster_goes_with_its_owner() -> Result<()> {
    let cluster = Cluster::start()?;
    let url = cluster.url().clone();
    assert_eq!(ask(&url, "SELECT 1")?, "1");
    let (_, folder) = url.query_pairs().find(|(name, _)| name == "host").context("a folder")?;
    let folder = Path::new(folder.as_ref()).to_owned();

    drop(cluster);

    let deadline = Instant::now() + Duration::from_secs(10);
    while folder.exists() {
        assert!(Instant::now() < deadline, "{} is still there", folder.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ask(&url, "SELECT 1").is_err());
    Ok(())
}
