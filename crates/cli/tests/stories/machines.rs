//! Machines, and what this one permits.

use chatroom_testkit::world::World;
use serde_json::json;

use crate::desk::{Desk, mode};
use crate::waiting::visit;

#[tokio::test]
async fn a_second_computer_joins_with_a_code_that_works_once() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let added = desk.run("machine add --json").await.exits(0).json();
    let code = added["code"].as_str().expect("a code").to_owned();
    assert!(added["line"].as_str().is_some_and(|line| line.contains(&code)), "{added}");

    let other = Desk::new();
    let join = format!("machine join --url {} {code}", world.url());
    let joined = other.run(&join).await.exits(0);
    assert!(joined.err.contains("chatroom machine daemon start"), "{}", joined.all());
    assert_eq!(mode(&other.home().join("credentials.json")), 0o600);
    assert!(!joined.out.contains("crm_") && !joined.err.contains("crm_"), "{}", joined.all());
    let list = desk.run("machine list --json").await.exits(0).json();
    assert_eq!(list["machines"][0]["machineId"], other.file("machine.json")["machineId"], "{list}");

    let twice = Desk::new().run(&join).await.exits(1);
    assert!(twice.err.contains("code_expired"), "{}", twice.all());
    let elsewhere = other.run("machine join --url http://127.0.0.1:9 cro_x").await.exits(1);
    assert!(elsewhere.err.contains("CHATROOM_HOME"), "{}", elsewhere.all());
}

#[tokio::test]
async fn a_machine_is_renamed_and_removed() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
    visit(&desk, &room, "builder", "").await;
    let id = desk.file("machine.json")["machineId"].as_str().expect("an id").to_owned();

    desk.run(&format!("machine rename {id} laptop")).await.exits(0);
    let list = desk.run("machine list").await.exits(0);
    assert!(
        list.out.contains("laptop") && list.out.contains("this one") && list.out.contains("claude 2.1.0"),
        "{}",
        list.all()
    );
    assert!(list.out.contains("offline"), "{}", list.all());
    let unknown = desk.run("machine rename desktop x").await.exits(1);
    assert!(unknown.err.contains("laptop"), "{}", unknown.all());

    desk.run("machine remove laptop").await.exits(0);
    let list = desk.run("machine list --json").await.exits(0).json();
    assert_eq!(list["machines"], json!([]));
    // The identity stays; the next wait registers it again.
    visit(&desk, &room, "builder", "").await;
    assert_eq!(desk.file("machine.json")["machineId"], json!(id));
}

#[tokio::test]
async fn only_local_verbs_change_what_a_machine_permits() {
    let desk = Desk::new();
    let nothing =
        json!({ "allowedDirectories": [], "trustedDirectories": [], "allowAuto": false, "allowTerminal": false });
    assert_eq!(desk.run("machine allow --list --json").await.exits(0).json(), nothing);
    desk.run("machine allow .").await.exits(0);
    desk.run("machine allow --auto").await.exits(0);
    let work = desk.work_dir().canonicalize().expect("a folder");
    desk.run("machine allow --trust .").await.exits(0);
    let all = desk.run("machine allow --list --json").await.exits(0).json();
    let permitted = json!({ "allowedDirectories": [work], "trustedDirectories": [work], "allowAuto": true, "allowTerminal": false });
    assert_eq!(all, permitted);
    desk.run("machine allow --trust").await.exits(2);

    for dir in ["/", "..", "nowhere"] {
        let refused = desk.run(&format!("machine allow {dir}")).await.exits(1);
        assert!(!refused.err.is_empty(), "{}", refused.all());
    }
    desk.run("machine allow --remove --auto").await.exits(0);
    desk.run("machine allow --remove --trust .").await.exits(0);
    desk.run("machine allow --remove .").await.exits(0);
    assert_eq!(desk.run("machine allow --json").await.exits(0).json(), nothing);
}

#[tokio::test]
async fn a_corrupt_identity_is_an_error_and_never_a_new_identity() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let room = desk.run("room create hello --role builder").await.exits(0).out.trim().to_owned();
    let path = desk.home().join("machine.json");
    for text in ["", "{", "{\"machineId\":\"x\"}", "{\"version\":\"1\",\"http://x\":{}}"] {
        std::fs::write(&path, text).expect("a file");
        let ended =
            desk.run(&format!("wait-for-task --chatroom-id={room} --role=builder --duration=20s")).await.exits(1);
        assert!(ended.err.contains("machine.json"), "{}", ended.all());
        assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
    }
    let list = desk.run("machine list --json").await;
    assert_ne!(list.code, 2, "{}", list.all());
    assert_eq!(ada.get("/api/machines").await.body["machines"], json!([]));
}
