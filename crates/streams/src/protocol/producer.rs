//! Producers that number what they send, so that a retry is not a second append.

/// The largest epoch and sequence number: what a JavaScript number holds exactly.
pub(crate) const LARGEST: u64 = (1 << 53) - 1;

/// What a producer says of one append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who.
    pub id: Box<str>,
    /// In which of its lives.
    pub epoch: u64,
    /// Which append of that life.
    pub seq: u64,
}

/// What is known of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub epoch: u64,
    pub seq: u64,
}

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    Accept,
    /// It is there already; this is the newest.
    Duplicate(Session),
    /// A later life of the producer has written.
    Stale { epoch: u64 },
    /// A new life begins with number 0.
    MustBeginAtZero,
    /// Something before it is missing.
    Gap { expected: u64, received: u64 },
}

/// Compares what a producer says with what is known of it.
pub(crate) fn judge(known: Option<Session>, claim: &Claim) -> Verdict {
    match known {
        None if claim.seq > 0 => Verdict::Gap { expected: 0, received: claim.seq },
        None => Verdict::Accept,
        Some(known) if claim.epoch < known.epoch => Verdict::Stale { epoch: known.epoch },
        Some(known) if claim.epoch > known.epoch && claim.seq > 0 => Verdict::MustBeginAtZero,
        Some(known) if claim.epoch > known.epoch => Verdict::Accept,
        Some(known) if claim.seq <= known.seq => Verdict::Duplicate(known),
        Some(known) if claim.seq == known.seq + 1 => Verdict::Accept,
        Some(known) => Verdict::Gap { expected: known.seq + 1, received: claim.seq },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_verdict() {
        let known = Session { epoch: 3, seq: 7 };
        for (known, epoch, seq, expected) in [
            (None, 0, 0, Verdict::Accept),
            (None, 5, 0, Verdict::Accept),
            (None, 0, 1, Verdict::Gap { expected: 0, received: 1 }),
            (Some(known), 2, 0, Verdict::Stale { epoch: 3 }),
            (Some(known), 3, 0, Verdict::Duplicate(known)),
            (Some(known), 3, 7, Verdict::Duplicate(known)),
            (Some(known), 3, 8, Verdict::Accept),
            (Some(known), 3, 9, Verdict::Gap { expected: 8, received: 9 }),
            (Some(known), 4, 0, Verdict::Accept),
            (Some(known), 4, 1, Verdict::MustBeginAtZero),
        ] {
            let claim = Claim { id: "p".into(), epoch, seq };
            assert_eq!(judge(known, &claim), expected, "{known:?} {epoch} {seq}");
        }
    }
}
