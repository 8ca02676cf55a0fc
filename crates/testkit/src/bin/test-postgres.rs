//! One PostgreSQL for a whole test run: prints its URL and stops it when stdin closes.

use std::io::{self, Read, Write};

use chatroom_testkit::postgres::Cluster;

fn main() -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let mut out = io::stdout();
    writeln!(out, "{}", cluster.url())?;
    out.flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
