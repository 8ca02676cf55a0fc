//! Tells the server what happened, in order, each fact once.
//!
//! The journal keeps every report until the server has said that it is applied.
//! One sent twice, because the answer got lost, is dropped there by its number.

use std::time::Duration;

use chatroom_protocol::api::reports::{Applied, Report, Reports};
use chatroom_protocol::{ErrorCode, Problem};
use reqwest::{Method, StatusCode};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::journal::{Entry, Journal};
use crate::link::LinkStatus;
use crate::platform::{NotRegistered, Platform};
use crate::trust::Trust;

/// How many reports go together.
const BATCH: usize = 256;
/// How many bytes of reports go together, beyond the first.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Why reports could not be delivered.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    NotRegistered(#[from] NotRegistered),
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    #[error("the server answered {status}: {detail}")]
    Refused { status: StatusCode, detail: String },
    #[error("a newer daemon of this machine took over")]
    Superseded,
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
}

/// Delivers reports.
#[derive(Debug, Clone)]
pub struct Reporter {
    journal: Journal,
    epoch: u64,
    platform: Platform,
}

impl Reporter {
    /// Returns one.
    pub fn new(journal: Journal, epoch: u64, platform: Platform) -> Self {
        Self { journal, epoch, platform }
    }

    /// Delivers whenever there is something and the server is there. Returns only when a newer daemon took over.
    ///
    /// A credential that was replaced is shown by a report, an empty one if there is none: it comes after whatever
    /// went out under the one before.
    pub async fn run(self, mut link: watch::Receiver<LinkStatus>, trust: Trust) {
        let mut reports = self.journal.reports();
        let mut backoff = Backoff::default();
        let mut told = None;
        let mut must_show = false;
        loop {
            // While the tunnel is down the server is away for reports too.
            if link.wait_for(|link| link.connected).await.is_err() {
                return;
            }
            reports.mark_unchanged();
            match self.deliver(must_show).await {
                Ok(()) => {
                    backoff.reset();
                    told = None;
                    must_show = tokio::select! {
                        changed = reports.changed() => match changed {
                            Ok(()) => false,
                            Err(_) => return,
                        },
                        () = trust.replaced() => true,
                    };
                }
                Err(ReportError::Superseded) => return,
                Err(error) => {
                    let words = error.to_string();
                    if told.as_ref() != Some(&words) {
                        tracing::warn!(%error, "reports are kept until the server takes them");
                        told = Some(words);
                    }
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    /// Delivers what there is, within `limit`. To be called when nothing more will happen.
    pub async fn deliver_last(&self, limit: Duration) {
        match timeout(limit, self.deliver(false)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::info!(%error, "the last reports are delivered at the next start"),
            Err(_) => tracing::info!("the last reports are delivered at the next start"),
        }
    }

    async fn deliver(&self, mut must_show: bool) -> Result<(), ReportError> {
        loop {
            let reports = of_a_size(self.journal.unreported(BATCH), BATCH_BYTES);
            let is_empty = reports.is_empty();
            if is_empty && !must_show {
                return Ok(());
            }
            let body =
                Reports { epoch: self.epoch, journal_id: self.journal.read(|state| state.journal_id.clone()), reports };
            let through = self.post(&body).await?;
            must_show = false;
            if !is_empty {
                self.journal.append(vec![Entry::Applied { through }]).await?;
            }
        }
    }

    async fn post(&self, body: &Reports) -> Result<u64, ReportError> {
        let response = self.platform.request(Method::POST, "reports")?.json(body).send().await?;
        let status = response.status();
        if status.is_success() {
            let last = body.reports.last().map_or(0, |report| report.seq);
            let first = body.reports.first().map_or(0, |report| report.seq);
            let applied = response.json::<Applied>().await?.applied_through.min(last);
            // Without progress this would go round for ever.
            return if applied >= first {
                Ok(applied)
            } else {
                Err(ReportError::Refused { status, detail: "it applied none of the reports".to_owned() })
            };
        }
        let text = response.text().await.unwrap_or_default();
        let problem = serde_json::from_str::<Problem>(&text).ok();
        if problem.as_ref().is_some_and(|problem| problem.code == ErrorCode::StaleEpoch) {
            return Err(ReportError::Superseded);
        }
        let detail = problem.map_or_else(|| "no reason given".to_owned(), |problem| problem.detail);
        Err(ReportError::Refused { status, detail })
    }
}

/// Keeps the first reports, so many that they stay below `most` bytes together, and one at least.
fn of_a_size(mut reports: Vec<Report>, most: usize) -> Vec<Report> {
    let mut bytes = 0;
    let beyond = reports.iter().position(|report| {
        bytes += serde_json::to_vec(report).map_or(0, |text| text.len());
        bytes > most
    });
    if let Some(beyond) = beyond {
        reports.truncate(beyond.max(1));
    }
    reports
}

#[cfg(test)]
mod tests {
    use chatroom_protocol::api::reports::Fact;

    use super::*;

    #[test]
    fn large_reports_go_in_smaller_batches() {
        let reports: Vec<Report> = (1..=4)
            .map(|seq| Report { seq, at: crate::now(), fact: Fact::ToolsDetected { tools: Vec::new() } })
            .collect();
        let one = serde_json::to_vec(&reports[0]).unwrap().len();
        for (most, kept) in [(1, 1), (one, 1), (2 * one, 2), (100 * one, 4)] {
            assert_eq!(of_a_size(reports.clone(), most).len(), kept, "{most}");
        }
    }
}
