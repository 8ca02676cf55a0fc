//! Whatever arrives, in whatever pieces: the bytes sent, or an error that says why.

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime can be built");
    let bounded = async { tokio::time::timeout(std::time::Duration::from_secs(20), what).await };
    runtime.block_on(bounded).expect("it hangs")
}

/// Feeds bytes to one end in pieces and returns what it reads, and how that ended.
async fn read_all(role: Role, bytes: &[u8], piece: usize) -> (Vec<u8>, io::Result<()>) {
    let (near, far) = duplex(64 * 1024);
    let mut socket = WebSocket::new(near, role);
    let (mut from, mut to) = tokio::io::split(far);
    let feed = async move {
        for piece in bytes.chunks(piece) {
            if to.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        let _ = to.shutdown().await;
    };
    let mut answers = Vec::new();
    let hear = async { from.read_to_end(&mut answers).await };
    let read = async move {
        let mut read = Vec::new();
        let ended = socket.read_to_end(&mut read).await;
        (read, ended.map(drop))
    };
    let ((), (read, ended), _) = tokio::join!(feed, read, hear);
    (read, ended)
}

/// Writes a frame as the end that is not `role` would.
fn frame(role: Role, kind: Kind, is_last: bool, payload: &[u8]) -> Vec<u8> {
    let mask = (role == Role::Granted).then_some([1, 2, 3, 4]);
    let mut bytes = Vec::new();
    Head { kind, is_last, length: payload.len() as u64, mask }.write(&mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply(mask, 0, &mut bytes[start..]);
    }
    bytes
}

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Asked), Just(Role::Granted)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_end_well(role in roles(), bytes in vec(any::<u8>(), 0..4096), piece in 1_usize..600) {
        let (read, ended) = block_on(read_all(role, &bytes, piece));
        prop_assert!(read.len() <= bytes.len());
        if let Err(error) = ended {
            prop_assert!(error.to_string().contains("broke the protocol"), "{error}");
        }
    }

    #[test]
    fn messages_in_any_pieces_are_their_bytes(
        role in roles(),
        messages in vec(vec(vec(any::<u8>(), 0..300), 1..4), 0..8),
        control in vec(any::<u8>(), 0..126),
        piece in 1_usize..400,
    ) {
        let mut bytes = Vec::new();
        for fragments in &messages {
            for (turn, payload) in fragments.iter().enumerate() {
                let kind = if turn == 0 { Kind::Binary } else { Kind::Continuation };
                bytes.extend(frame(role, kind, turn + 1 == fragments.len(), payload));
                bytes.extend(frame(role, Kind::Ping, true, &control));
            }
        }
        bytes.extend(frame(role, Kind::Close, true, &[]));
        bytes.extend(frame(role, Kind::Binary, true, b"after the end"));
        let (read, ended) = block_on(read_all(role, &bytes, piece));
        prop_assert!(ended.is_ok(), "{ended:?}");
        prop_assert_eq!(read, messages.concat().concat());
    }

    #[test]
    fn both_ends_understand_each_other(writes in vec(vec(any::<u8>(), 0..40_000), 0..5), room in 1_usize..5000) {
        let whole = writes.concat();
        let (there, back) = block_on(async {
            let (near, far) = duplex(room);
            let (mut near, mut far) = (WebSocket::new(near, Role::Asked), WebSocket::new(far, Role::Granted));
            let far_end = async {
                let mut read = vec![0; whole.len()];
                far.read_exact(&mut read).await?;
                far.write_all(&read).await?;
                far.shutdown().await?;
                Ok::<_, io::Error>(read)
            };
            let near_end = async {
                for write in &writes {
                    near.write_all(write).await?;
                }
                near.flush().await?;
                let mut read = Vec::new();
                near.read_to_end(&mut read).await?;
                Ok::<_, io::Error>(read)
            };
            tokio::join!(far_end, near_end)
        });
        prop_assert_eq!(&there.unwrap(), &whole);
        prop_assert_eq!(&back.unwrap(), &whole);
    }

    #[test]
    fn a_head_is_read_as_it_was_written(length in 0_u64..u64::MAX / 2, mask in any::<Option<[u8; 4]>>()) {
        let head = Head { kind: Kind::Binary, is_last: true, length, mask };
        let mut bytes = Vec::new();
        head.write(&mut bytes);
        prop_assert!(bytes.len() <= HEAD);
        for short in 0..bytes.len() {
            prop_assert_eq!(Head::read(&bytes[..short]).unwrap(), None);
        }
        prop_assert_eq!(Head::read(&bytes).unwrap(), Some(head));
    }
}

#[tokio::test]
async fn a_ping_is_answered_and_a_flood_of_them_is_not_kept() {
    let (near, far) = duplex(1024);
    let mut socket = WebSocket::new(near, Role::Granted);
    let (mut from, mut to) = tokio::io::split(far);
    let reader = tokio::spawn(async move {
        let mut read = Vec::new();
        socket.read_to_end(&mut read).await.map(|_| (read, socket.output.bytes.capacity()))
    });
    to.write_all(&frame(Role::Granted, Kind::Ping, true, b"there?")).await.unwrap();
    let mut answer = [0; 8];
    from.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, *b"\x8a\x06there?");
    // Nobody reads the answers to these.
    let ping = frame(Role::Granted, Kind::Ping, true, &[7; CONTROL]);
    for _ in 0..10_000 {
        to.write_all(&ping).await.unwrap();
    }
    to.write_all(&frame(Role::Granted, Kind::Binary, true, b"data")).await.unwrap();
    to.shutdown().await.unwrap();
    let (read, held) = reader.await.unwrap().unwrap();
    assert_eq!(read, b"data");
    assert!(held < 4096, "{held} bytes are kept");
}

#[tokio::test]
async fn a_frame_with_the_wrong_mask_or_of_text_is_refused() {
    let unmasked = frame(Role::Asked, Kind::Binary, true, b"x");
    let masked = frame(Role::Granted, Kind::Binary, true, b"x");
    for (role, bytes) in [(Role::Granted, &unmasked[..]), (Role::Asked, &masked[..]), (Role::Asked, b"\x81\x01x")] {
        let (read, ended) = read_all(role, bytes, 100).await;
        assert!(read.is_empty());
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
