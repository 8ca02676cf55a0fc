//! How this machine stands with its server: a credential that is replaced, refused, or locked.

use std::time::Duration;

use chatroom_daemon::credentials::Credentials;
use chatroom_daemon::status;
use chatroom_protocol::ErrorCode;
use http::StatusCode;
use serde_json::json;

use crate::world::{CRM, CRP, World, processes, until};

const CRM_2: &str = "crm_machinemachinemachinemachinemachinemachi2";
const CRP_2: &str = "crp_platformplatformplatformplatformplatform2";

async fn trouble(world: &World, part: &str) -> status::DaemonStatus {
    until("the trouble is told", async || {
        let status = status::query(&world.home).await?;
        let is_told = status.last_error.as_ref().is_some_and(|why| why.contains(part));
        (!status.connected && is_told).then_some(status)
    })
    .await
}

#[tokio::test]
async fn a_credential_is_on_disk_before_it_is_taken_and_shown_at_once() {
    let world = World::new().await;
    let daemon = world.daemon();
    let next = json!({ "machineToken": CRM_2, "platformToken": CRP_2 }).to_string();
    let (code, body) = world.server.ask("POST", "/platform/credential", Some(next.clone())).await;
    assert_eq!(code, StatusCode::NO_CONTENT, "{body}");
    let saved = Credentials::load(&world.home).unwrap().unwrap();
    assert_eq!((saved.machine_token.as_str(), saved.platform_token.as_str()), (CRM_2, CRP_2));
    until("the new one is shown", async || world.server.shown().iter().any(|token| token == CRM_2).then_some(())).await;

    // What is under way with the one before is answered; again is the same as once; others are refused.
    for (token, expected) in [(CRP, 200), (CRP_2, 200), ("crp_other", 401)] {
        let (code, _) = world.server.ask_with(token, "GET", "/platform/status", None).await;
        assert_eq!(code.as_u16(), expected, "{token}");
    }
    let (code, _) = world.server.ask_with(CRP_2, "POST", "/platform/credential", Some(next)).await;
    assert_eq!(code, StatusCode::NO_CONTENT);
    let bad = json!({ "machineToken": "crs_x", "platformToken": CRP_2 }).to_string();
    let (code, _) = world.server.ask_with(CRP_2, "POST", "/platform/credential", Some(bad)).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert!(status::query(&world.home).await.unwrap().connected, "this computer's own verbs get in as well");
    daemon.stop().await;
    assert_eq!(world.server.shown().first().map(String::as_str), Some(CRM));
}

#[tokio::test]
async fn a_count_is_on_disk_before_it_is_confirmed_and_never_goes_back() {
    let world = World::new().await;
    let daemon = world.daemon();
    for (given, kept) in [(1, 1), (3, 3), (2, 3)] {
        let body = json!({ "renewal": given }).to_string();
        let (code, _) = world.server.ask("POST", "/platform/renewal", Some(body)).await;
        assert_eq!(code, StatusCode::NO_CONTENT);
        assert_eq!(Credentials::load(&world.home).unwrap().unwrap().renewal, kept);
    }
    daemon.crash(&world).await;
    let daemon = world.daemon();
    until("the next connection", async || (world.server.counts() == [0, 3]).then_some(())).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_refusal_for_good_ends_the_agents_and_a_server_that_is_away_does_not() {
    let world = World::new().await;
    let daemon = world.daemon();
    let agent = world.started().await;
    let outages = [
        (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::ShuttingDown),
        (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal),
        // Something between us that knows nothing of machines.
        (StatusCode::UNAUTHORIZED, ErrorCode::Unknown),
    ];
    for outage in outages {
        world.server.refuse(Some(outage));
        world.server.cut();
        trouble(&world, "").await;
        world.server.refuse(None);
        if outage.0 != StatusCode::UNAUTHORIZED {
            world.server.link().await;
        }
        assert!(processes(agent) > 0, "{outage:?}");
    }
    world.server.refuse(Some((StatusCode::UNAUTHORIZED, ErrorCode::NotSignedIn)));
    world.server.cut();
    until("its agents are ended", async || (processes(agent) == 0).then_some(())).await;
    let status = trouble(&world, "chatroom machine unlock").await;
    assert!(!status.locked && status.last_error.unwrap().contains("chatroom machine add"));
    daemon.stop().await;
}

#[tokio::test]
async fn a_locked_machine_ends_its_agents_and_comes_back_with_what_its_owner_saves() {
    let world = World::new().await;
    let daemon = world.daemon();
    let agent = world.started().await;
    world.server.refuse(Some((StatusCode::LOCKED, ErrorCode::MachineLocked)));
    world.server.cut();
    until("its agents are ended", async || (processes(agent) == 0).then_some(())).await;
    assert!(trouble(&world, "used from two places").await.locked);

    world.server.refuse(None);
    let server_url = world.server.url.clone();
    let fresh = Credentials { server_url, machine_token: CRM_2.into(), platform_token: CRP_2.into(), renewal: 0 };
    fresh.save(&world.home).unwrap();
    let begun = std::time::Instant::now();
    until("it is connected", async || status::query(&world.home).await.filter(|status| status.connected)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "a verb that asks wakes it: {:?}", begun.elapsed());
    assert!(world.server.shown().iter().any(|token| token == CRM_2));
    daemon.stop().await;
}
