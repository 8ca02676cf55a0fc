//! The plain pages: a person with a browser and no script.

use chatroom_testkit::world::{PASSWORD, World, form};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_person_signs_up_in_and_out_by_form() {
    let world = World::start().await;
    let nobody = world.anonymous();
    let start = nobody.get("/").await;
    assert!(start.raw.contains("Nobody has an account here yet"), "{}", start.raw);
    assert_eq!(start.header("referrer-policy"), "same-origin", "else the forms' own origin is null");
    let secret = world.running().sign_up_secret().await.unwrap().unwrap();
    let shown = nobody.get(&format!("/sign-up?code={secret}")).await;
    assert!(shown.raw.contains(&format!("value=\"{secret}\"")));

    let submit = async |path: &str, cookie: &str, fields: &[(&str, &str)]| {
        let request = nobody.request(Method::POST, path).header("origin", world.url()).header("cookie", cookie);
        nobody.send(form(request, fields)).await
    };
    let ada = [("email", "ada@example.org"), ("name", "Ada <b>"), ("password", PASSWORD), ("code", &secret)];
    let wrong =
        submit("/sign-up", "", &[("email", "\"><script>"), ("name", "x"), ("password", "y"), ("code", "")]).await;
    assert_eq!(wrong.status, 400);
    assert!(wrong.raw.contains("&quot;&gt;&lt;script&gt;") && !wrong.raw.contains("<script"), "{}", wrong.raw);
    assert!(wrong.raw.contains("role=\"alert\""));
    let signed_up = submit("/sign-up", "", &ada).await;
    assert_eq!((signed_up.status, signed_up.header("location")), (303, "/"));
    let cookie = signed_up.header("set-cookie").split(';').next().unwrap_or_default().to_owned();

    let home = nobody.send(nobody.request(Method::GET, "/").header("cookie", &cookie)).await;
    assert!(home.raw.contains("<h1>Ada &lt;b&gt;</h1>"), "{}", home.raw);
    assert!(home.raw.contains("chatroom room create"), "an empty home says what to do next");
    let out = submit("/sign-out", &cookie, &[]).await;
    assert_eq!((out.status, out.header("location")), (303, "/"));
    let home = nobody.send(nobody.request(Method::GET, "/").header("cookie", &cookie)).await;
    assert!(home.raw.contains("href=\"/sign-in\""));

    let wrong = submit("/sign-in", "", &[("email", "ada@example.org"), ("password", "wrong wrong")]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.raw.contains("e-mail or password is wrong"));
    assert!(wrong.raw.contains("value=\"ada@example.org\"") && !wrong.raw.contains("wrong wrong"));
    let signed_in = submit("/sign-in", "", &[("email", "ada@example.org"), ("password", PASSWORD)]).await;
    assert_eq!((signed_in.status, signed_in.header("location")), (303, "/"));
}

#[tokio::test]
async fn a_command_line_is_let_in_on_a_page_that_shows_what_asks() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let nobody = world.anonymous();
    let codes = nobody.post("/api/auth/device", json!({ "device": "<laptop>", "version": "0.1.0" })).await;
    let code = codes.text("userCode");
    let path = format!("/cli?code={code}");
    let sent_away = nobody.get(&path).await;
    assert_eq!((sent_away.status, sent_away.header("location")), (303, format!("/sign-in?device={code}").as_str()));
    let shown = nobody.get(sent_away.header("location")).await;
    assert!(shown.raw.contains(&format!("name=\"device\" value=\"{code}\"")));
    let fields = [("email", "alice@example.org"), ("password", PASSWORD), ("device", code)];
    let back = nobody.request(Method::POST, "/sign-in").header("origin", world.url());
    assert_eq!(nobody.send(form(back, &fields)).await.header("location"), path);

    let page = alice.send(alice.browser(Method::GET, &path)).await;
    for part in ["&lt;laptop&gt;", "0.1.0", code, "s ago", "value=\"allow\"", "value=\"deny\""] {
        assert!(page.raw.contains(part), "{part} is not in {}", page.raw);
    }
    let allow = [("code", code), ("decision", "allow")];
    let foreign =
        nobody.request(Method::POST, "/cli").header("cookie", &alice.cookie).header("origin", "http://evil.example");
    assert_eq!(nobody.send(form(foreign, &allow)).await.status, 403);
    let allowed = alice.send(form(alice.browser(Method::POST, "/cli"), &allow)).await;
    assert!(allowed.raw.contains("The command line is signed in"), "{}", allowed.raw);
    let session = nobody.post("/api/auth/device/token", json!({ "deviceCode": codes.text("deviceCode") })).await;
    assert_eq!(session.text("name"), "alice");
    let late = alice.send(alice.browser(Method::GET, &path)).await;
    assert!(late.status == 400 && late.raw.contains("unknown, answered or older"), "{}", late.raw);
}

#[tokio::test]
async fn the_start_page_shows_machines_rooms_and_the_next_commands() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let machine = format!("/api/machines/{}", uuid::Uuid::new_v4());
    let registered = json!({ "hostname": "desk <1>", "os": "linux", "availableTools": [] });
    let registered = alice.put(&machine, registered).await;
    assert!(registered.status < 300, "{}", registered.raw);
    let room = world.room(&alice, &["builder"]).await;
    let room = room.rsplit('/').next().unwrap_or_default();
    let home = alice.send(alice.browser(Method::GET, "/")).await;
    for part in [
        "desk &lt;1&gt;",
        "○ Offline, last seen",
        room,
        &format!("chatroom agent start --chatroom-id={room} --role=builder"),
    ] {
        assert!(home.raw.contains(part), "{part} is not in {}", home.raw);
    }
}

#[tokio::test]
async fn an_invitation_is_taken_up_by_somebody_who_has_an_account() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let invited = alice.post(&format!("/api/instances/{}/invitations", alice.instance), json!({})).await;
    let path = format!("/sign-up?code={}", invited.text("code"));
    assert!(bob.send(bob.browser(Method::GET, &path)).await.raw.contains(">Join</button>"));
    let joined = form(bob.browser(Method::POST, "/sign-up"), &[("code", invited.text("code"))]);
    assert_eq!(bob.send(joined).await.status, 303);
    assert_eq!(bob.get("/api/instances").await.body["instances"].as_array().map(Vec::len), Some(2));
    let again = bob.send(form(bob.browser(Method::POST, "/sign-up"), &[("code", invited.text("code"))])).await;
    assert!(again.status == 400 && again.raw.contains("<code>code_expired</code>"), "{}", again.raw);
}
