//! Log lines of the verbs that stay: server, daemon, `up`.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::shell::Shell;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// Begins to log what `CHATROOM_LOG` names, else what `usual` names.
pub fn start<W>(shell: &Shell, look: Look, usual: &str, to: W) -> anyhow::Result<()>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let wanted = shell.var("CHATROOM_LOG").unwrap_or(usual);
    let filter = EnvFilter::try_new(wanted)
        .map_err(|error| anyhow::anyhow!("CHATROOM_LOG is {wanted:?}, which cannot be read: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to).with_ansi(false);
    match look {
        Look::Pretty => lines.init(),
        Look::Json => lines.json().init(),
    }
    Ok(())
}
