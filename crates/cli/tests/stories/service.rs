//! The daemon as a service of its user.

use chatroom_testkit::world::World;

use crate::desk::{Desk, mode};

/// A desk whose user has no systemd that could be reached.
fn alone(desk: Desk) -> Desk {
    desk.program("systemctl", "#!/bin/sh\nexit 1\n");
    desk
}

#[tokio::test]
async fn install_writes_a_unit_and_says_what_is_left_to_do() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = alone(Desk::of(&world, &ada).await);
    let written = desk.run("machine daemon install --json").await.exits(0).json();
    assert_eq!((&written["changed"], &written["enabled"]), (&true.into(), &false.into()), "{written}");
    let file = std::path::PathBuf::from(written["file"].as_str().expect("a file"));
    let unit = std::fs::read_to_string(&file).expect("the unit");
    for part in [
        &format!("\"CHATROOM_HOME={}\"", desk.home().display()),
        &format!("\"CHATROOM_URL={}\"", world.url()),
        "machine daemon start --foreground --service\n",
        "Restart=on-failure",
    ] {
        assert!(unit.contains(part), "{part}\n{unit}");
    }
    assert!(unit.lines().any(|line| line.starts_with("Environment=\"PATH=") && line.contains("/bin:")), "{unit}");
    assert_eq!(mode(&desk.home().join("credentials.json")), 0o600, "the machine is registered by then");

    let again = desk.run("machine daemon install").await.exits(0);
    for part in
        ["Unchanged", "systemctl --user daemon-reload", "systemctl --user enable --now", "loginctl enable-linger"]
    {
        assert!(again.out.contains(part), "{part}\n{}", again.all());
    }

    let removed = desk.run("machine daemon uninstall").await.exits(0);
    assert!(!file.exists(), "{}", removed.all());
    assert!(removed.out.contains("systemctl --user disable --now"), "{}", removed.all());
    let none = desk.run("machine daemon uninstall").await.exits(0);
    assert!(none.out.contains("no service"), "{}", none.all());
}

#[tokio::test]
async fn install_starts_the_service_where_systemd_can_be_reached() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    let asked = desk.work_dir().join("asked");
    desk.program("systemctl", &format!("#!/bin/sh\necho \"$@\" >> {}\n", asked.display()));
    let ended = desk.run("machine daemon install").await.exits(0);
    assert!(ended.out.contains("starts by itself from now on"), "{}", ended.all());
    let asked = std::fs::read_to_string(asked).expect("what systemctl was asked");
    assert!(asked.contains("--user daemon-reload") && asked.contains("--user enable --now chatroom-"), "{asked}");
}

#[tokio::test]
async fn a_service_that_cannot_help_does_not_ask_to_be_started_again() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let desk = Desk::of(&world, &ada).await;
    desk.run("machine daemon start").await.exits(0);
    // Another one runs: that is an end in peace, after one line.
    let second = desk.run("machine daemon start --foreground --service").await.exits(0);
    assert_eq!(second.err.matches("runs already").count(), 1, "{}", second.all());
    desk.run("machine daemon stop").await.exits(0);

    std::fs::write(desk.home().join("machine.json"), "{ broken").expect("a broken identity");
    let broken = desk.run("machine daemon start --foreground --service").await.exits(78);
    assert!(broken.err.contains("machine.json"), "{}", broken.all());
}
