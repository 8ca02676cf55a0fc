//! The newest link under each key.

use axum::Router;
use axum::routing::get;
use chatroom_tunnel::{Conn, Link, Links, Settings};
use http::HeaderMap;

use crate::world::{ask, soon, text};

/// A link to a daemon that says its name.
fn link_to(name: &'static str) -> Link {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let router = Router::new().route("/name", get(move || async move { name }));
    tokio::spawn(Conn::over(far, HeaderMap::new()).serve(router, std::future::pending()));
    let (link, driver) = Link::over(near, Settings::default());
    tokio::spawn(driver);
    link
}

async fn name(links: &Links<&str>, key: &'static str) -> String {
    let link = links.get(&key).unwrap();
    text(soon(link.request(ask("/name"))).await.unwrap()).await
}

#[tokio::test]
async fn the_end_of_an_old_link_leaves_its_successor() {
    let links = Links::default();
    let (old, replaced) = links.insert("laptop", link_to("old"));
    assert!(replaced.is_none());
    let (new, replaced) = links.insert("laptop", link_to("new"));
    let replaced = replaced.unwrap();
    assert!(new > old);
    assert_eq!(links.len(), 1);
    assert_eq!(links.generation(&"laptop"), Some(new));

    // The old one works until its owner closes it; its end comes late.
    let answer = soon(replaced.request(ask("/name"))).await.unwrap();
    assert_eq!(text(answer).await, "old");
    replaced.close();
    assert!(!links.remove_if(&"laptop", old));
    assert_eq!(name(&links, "laptop").await, "new");

    assert!(links.remove_if(&"laptop", new));
    assert!(!links.remove_if(&"laptop", new));
    assert!(links.get(&"laptop").is_none());
    assert!(links.is_empty());
}

#[tokio::test]
async fn keys_do_not_share_links() {
    let links = Links::default();
    let (laptop, _) = links.insert("laptop", link_to("laptop"));
    links.insert("tower", link_to("tower"));
    let mut keys = links.keys();
    keys.sort_unstable();
    assert_eq!(keys, ["laptop", "tower"]);
    assert!(!links.remove_if(&"tower", laptop));
    assert_eq!(name(&links, "tower").await, "tower");
    assert_eq!(name(&links, "laptop").await, "laptop");
}
