//! What a browser gets: the web app, and where it is sent.

use chatroom_testkit::world::World;
use reqwest::Method;

#[tokio::test]
async fn every_address_of_the_app_is_its_page_and_runs_no_script_of_its_own() {
    let world = World::start().await;
    let nobody = world.anonymous();
    let page = async |path: &str| {
        nobody.send(nobody.request(Method::GET, path).header("accept", "text/html,application/xhtml+xml")).await
    };
    for path in ["/", "/sign-in", "/sign-up?code=x", "/rooms/room_1", "/cli?code=ABCD-EFGH"] {
        let shown = page(path).await;
        assert_eq!((shown.status, shown.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert!(shown.raw.contains("<div id=\"root\">"), "{path}: {}", shown.raw);
        let policy = shown.header("content-security-policy");
        assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(shown.header("cache-control"), "no-cache", "a new version is there at once");
    }
    let problem = page("/api/nothing").await;
    assert_eq!((problem.status, problem.text("code")), (404, "not_found"));
    let program = nobody.send(nobody.request(Method::GET, "/nothing").header("accept", "application/json")).await;
    assert_eq!((program.status, program.text("code")), (404, "not_found"));
    assert_eq!(nobody.request(Method::POST, "/rooms").send().await.expect("an answer").status(), 404);
}

#[tokio::test]
async fn a_file_of_the_app_is_kept_by_browsers_and_comes_compressed() {
    let world = World::start().await;
    let nobody = world.anonymous();
    let page = nobody.send(nobody.request(Method::GET, "/").header("accept", "text/html")).await;
    let script = page.raw.split("src=\"").filter_map(|rest| rest.split('"').next());
    let script = script.into_iter().find(|path| path.starts_with("/assets/")).expect("a script").to_owned();
    let plain = nobody.get(&script).await;
    assert_eq!((plain.status, plain.header("content-type")), (200, "text/javascript; charset=utf-8"));
    assert_eq!(plain.header("cache-control"), "public, max-age=31536000, immutable");
    let tag = plain.header("etag").to_owned();
    let known = nobody.send(nobody.request(Method::GET, &script).header("if-none-match", &tag)).await;
    assert_eq!((known.status, known.raw.as_str()), (304, ""));
    let asked = nobody.request(Method::GET, &script).header("accept-encoding", "gzip, br;q=1.0");
    let packed = asked.send().await.expect("an answer");
    assert_eq!(packed.headers()["content-encoding"], "br");
    assert_eq!(packed.headers()["etag"], format!("W/{tag}").as_str());
    let packed = packed.bytes().await.expect("a body").len();
    assert!(packed * 3 < plain.raw.len(), "{packed} of {}", plain.raw.len());
}

#[tokio::test]
async fn a_link_that_is_used_or_wrong_says_so_on_a_page() {
    let world = World::start().await;
    let nobody = world.anonymous();
    let shown = nobody.get("/sign-in?code=wrong").await;
    assert_eq!(shown.status, 400);
    assert!(shown.raw.contains("<code>code_expired</code>"), "{}", shown.raw);
    assert_eq!(shown.header("referrer-policy"), "same-origin");
}
