//! The web app as people use it: a real browser, the real server, a real daemon and agent program.

mod browser;

use chatroom_testkit::model::Model;
use chatroom_testkit::world::{PASSWORD, World};
use serde_json::json;

use crate::laptop::Laptop;
use crate::stories::HAND_OFF;
use browser::Story;

#[tokio::test(flavor = "multi_thread")]
async fn from_a_printed_secret_to_the_first_answer_by_clicks_alone() {
    let (world, model) = (World::start().await, Model::start().await);
    let secret = world.running().sign_up_secret().await.expect("a look").expect("a secret");
    let mut story = Story::begin(&world, "first_run", &json!({ "secret": secret, "handOff": HAND_OFF }));
    let mut laptop: Option<Laptop> = None;
    while let Some(ask) = story.next().await {
        let answer = match ask.what.as_str() {
            "join" => {
                let line = ask.with.as_str().expect("a line");
                let code = line.split([' ', '\'', '"']).find(|word| word.starts_with("cro_")).expect("a code");
                let joined = laptop.insert(Laptop::joined(&world, code, &model).await);
                joined.spawn_daemon();
                json!(true)
            }
            "folder" => json!(laptop.as_ref().expect("it joined").work_dir()),
            other => panic!("the story asks for {other}"),
        };
        story.answer(answer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_it_everywhere_and_tabs_are_in_step() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let given = json!({ "email": ada.email, "password": PASSWORD, "name": ada.name });
    Story::begin(&world, "doors", &given).told().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_is_let_in_on_a_page_that_shows_what_asks() {
    let world = World::start().await;
    let (ada, nobody) = (world.user("ada").await, world.anonymous());
    let codes = nobody.post("/api/auth/device", json!({ "device": "<laptop>", "version": "0.1.0" })).await;
    let mut story = Story::begin(&world, "approve", &json!({ "cookie": ada.cookie, "code": codes.text("userCode") }));
    while story.next().await.is_some() {
        let session = nobody.post("/api/auth/device/token", json!({ "deviceCode": codes.text("deviceCode") })).await;
        story.answer(json!(session.text("name") == "ada")).await;
    }
}
