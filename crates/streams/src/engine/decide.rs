//! What becomes of a request: refused, already so, or a change.

use super::change::{Change, Content, Fork, Made};
use super::command::{Append, Appended, Create, Created, Prepared, Source};
use super::error::Refusal;
use super::ledger::{Entry, Ledger};
use super::options::Options;
use super::stream::Life;
use crate::protocol::content::Kind;
use crate::protocol::producer::{Session, Verdict, judge};
use crate::protocol::{Lifetime, Offset};

/// A change, if one is needed, and the answer that is true once it is durable.
pub(crate) type Decision<T> = (Option<Change>, T);

pub(crate) fn create(
    ledger: &Ledger,
    options: &Options,
    path: &str,
    create: &Create,
    prepared: &Prepared,
    source: Option<&Source>,
    now: u64,
) -> Result<Decision<Created>, Refusal> {
    if let Some(entry) = ledger.at(path) {
        return again(entry, create, now).map(|created| (None, created));
    }
    if ledger.entries.len() >= options.max_streams {
        return Err(Refusal::TooManyStreams(options.max_streams));
    }
    let id = ledger.next_id;
    let mut made = Made {
        id,
        generation: id,
        path: path.into(),
        content_type: create.content_type.clone().unwrap_or_default(),
        lifetime: create.lifetime.clone().unwrap_or(Lifetime::Unbounded),
        lifetime_given: create.lifetime.is_some(),
        fork: None,
    };
    if let Some(asked) = &create.fork {
        let entry = ledger.at(&asked.path).ok_or(Refusal::SourceNotFound)?;
        if entry.life != Life::Living {
            return Err(Refusal::SourceDeleted);
        }
        // It was looked up before; another one may be there now.
        let source = source.filter(|source| source.id == entry.stream.id()).ok_or(Refusal::SourceNotFound)?;
        let parent = &entry.stream.made;
        if create.content_type.as_ref().is_some_and(|asked| !asked.matches(&parent.content_type)) {
            return Err(Refusal::WrongType);
        }
        let at = source.at.unwrap_or(entry.tail);
        if at > entry.tail || at < entry.stream.oldest() {
            return Err(Refusal::ForkOutside);
        }
        made.content_type = create.content_type.clone().unwrap_or_else(|| parent.content_type.clone());
        made.lifetime = create.lifetime.clone().unwrap_or_else(|| parent.lifetime.clone());
        made.generation = parent.generation;
        made.fork = Some(Fork { source: source.id, at, asked: source.asked.clone() });
    }
    let start = made.fork.as_ref().map_or(0, |fork| fork.at);
    let content = content(prepared, made.content_type.kind(), start, options.page_bytes);
    let created = Created {
        is_new: true,
        content_type: made.content_type.clone(),
        tail: Offset::new(made.generation, start + content.bytes.len() as u64),
        closed: create.close,
    };
    Ok((Some(Change::Create { made, content, close: create.close, at: now }), created))
}

/// Answers for a stream that is there already.
fn again(entry: &Entry, create: &Create, now: u64) -> Result<Created, Refusal> {
    if entry.life != Life::Living {
        return Err(Refusal::PathHeld);
    }
    let made = &entry.stream.made;
    let is_fork = create.fork.is_some();
    let same_type = match &create.content_type {
        None if is_fork => true,
        given => given.clone().unwrap_or_default().matches(&made.content_type),
    };
    let same_life = match &create.lifetime {
        None => !made.lifetime_given,
        Some(given) => given.matches(&made.lifetime),
    };
    let same_origin = match (&create.fork, &made.fork) {
        (None, None) => true,
        (Some(asked), Some(made)) => {
            let made = &made.asked;
            *asked.path == *made.path && asked.beyond == made.sub && super::anchor(asked.at) == made.anchor
        }
        _ => false,
    };
    if !(same_type && same_life && same_origin && create.close == entry.closed) {
        return Err(Refusal::MadeOtherwise);
    }
    entry.stream.touch(now);
    Ok(Created {
        is_new: false,
        content_type: made.content_type.clone(),
        tail: entry.stream.offset(entry.tail),
        closed: entry.closed,
    })
}

pub(crate) fn append(
    ledger: &Ledger,
    options: &Options,
    path: &str,
    append: &Append,
    prepared: &Prepared,
    now: u64,
) -> Result<Decision<Appended>, Refusal> {
    let entry = ledger.at(path).ok_or(Refusal::NotFound)?;
    if entry.life != Life::Living {
        return Err(Refusal::Deleted);
    }
    let stream = &entry.stream;
    let tail = stream.offset(entry.tail);
    let there = |session: Option<Session>| {
        stream.touch(now);
        let producer = session.map(|session| (session.epoch, session.seq));
        (None, Appended { is_new: false, tail, closed: entry.closed, producer })
    };
    let verdict = append.claim.as_ref().map(|claim| judge(entry.producers.get(&claim.id).copied(), claim));
    if entry.closed {
        return match verdict {
            Some(Verdict::Duplicate(session)) => Ok(there(Some(session))),
            Some(Verdict::Stale { epoch }) => Err(Refusal::StaleEpoch { epoch }),
            None if append.close && append.body.is_empty() => Ok(there(None)),
            _ => Err(Refusal::Closed { tail }),
        };
    }
    let matches = append.content_type.as_ref().is_some_and(|given| given.matches(&stream.made.content_type));
    if !append.body.is_empty() && !matches {
        return Err(Refusal::WrongType);
    }
    match verdict {
        None | Some(Verdict::Accept) => {}
        Some(Verdict::Duplicate(session)) => return Ok(there(Some(session))),
        Some(Verdict::Stale { epoch }) => return Err(Refusal::StaleEpoch { epoch }),
        Some(Verdict::MustBeginAtZero) => return Err(Refusal::EpochBeginsAtZero),
        Some(Verdict::Gap { expected, received }) => return Err(Refusal::ProducerGap { expected, received }),
    }
    if let (Some(seq), Some(last)) = (&append.seq, &entry.seq)
        && seq.as_bytes() <= last.as_bytes()
    {
        return Err(Refusal::SeqNotLarger);
    }
    let is_unknown = append.claim.as_ref().is_some_and(|claim| !entry.producers.contains_key(&claim.id));
    if is_unknown && entry.producers.len() >= options.max_producers {
        return Err(Refusal::TooManyProducers(options.max_producers));
    }
    let content = content(prepared, stream.kind, entry.tail, options.page_bytes);
    let appended = Appended {
        is_new: true,
        tail: stream.offset(entry.tail + content.bytes.len() as u64),
        closed: append.close,
        producer: append.claim.as_ref().map(|claim| (claim.epoch, claim.seq)),
    };
    let change = Change::Append {
        id: stream.id(),
        start: entry.tail,
        content,
        close: append.close,
        claim: append.claim.clone(),
        seq: append.seq.clone(),
        at: now,
    };
    Ok((Some(change), appended))
}

pub(crate) fn delete(ledger: &Ledger, path: &str) -> Result<Decision<()>, Refusal> {
    let entry = ledger.at(path).ok_or(Refusal::NotFound)?;
    if entry.life != Life::Living {
        return Err(Refusal::Deleted);
    }
    Ok((Some(Change::Delete { id: entry.stream.id() }), ()))
}

/// Finds where pages end: at the first place behind each multiple of a page where the bytes can be parted.
fn content(prepared: &Prepared, kind: Kind, start: u64, page: u64) -> Content {
    let bytes = &prepared.bytes;
    let end = start + bytes.len() as u64;
    let mut cuts = Vec::new();
    for multiple in (start / page + 1..=end / page).map(|count| count * page) {
        let wanted = usize::try_from(multiple - start).unwrap_or(usize::MAX);
        let found = match kind {
            Kind::Json => prepared.ends.get(prepared.ends.partition_point(|end| *end < wanted)).copied(),
            // A character has three bytes behind its first at most.
            Kind::Text => (wanted..bytes.len().min(wanted + 4)).find(|at| bytes[*at] & 0xc0 != 0x80).or(Some(wanted)),
            Kind::Binary => Some(wanted),
        };
        let cut = found.map(|at| start + at as u64).filter(|cut| cuts.last() != Some(cut) && *cut <= end);
        cuts.extend(cut);
    }
    Content { bytes: bytes.clone(), cuts }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn pages_end_where_bytes_can_be_parted() {
        let prepared =
            |bytes: &'static [u8], ends: &[usize]| Prepared { bytes: Bytes::from_static(bytes), ends: ends.into() };
        for (kind, bytes, ends, start, expected) in [
            (Kind::Binary, &b"0123456789ab"[..], &[][..], 3, vec![4, 8, 12]),
            (Kind::Binary, b"0", &[], 3, vec![4]),
            (Kind::Binary, b"0", &[], 4, vec![]),
            (Kind::Json, b"11111,2,", &[6, 8], 0, vec![6, 8]),
            (Kind::Json, b"1111111111111,", &[14], 1, vec![15]),
            (Kind::Text, "ab\u{20ac}d".as_bytes(), &[], 0, vec![5]),
        ] {
            let found = content(&prepared(bytes, ends), kind, start, 4).cuts;
            assert_eq!(found, expected, "{kind:?} {bytes:?} from {start}");
        }
    }
}
