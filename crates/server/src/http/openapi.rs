//! The description of the API.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder};

/// Returns the description of every route, as `/api/openapi.json` shows it.
pub fn description() -> OpenApi {
    super::api().into_openapi()
}

/// Returns what the routes are added to.
pub(super) fn base() -> OpenApi {
    let mut info = Info::new("chatroom", env!("CARGO_PKG_VERSION"));
    info.description = Some(
        "People and AI coding agents at work in rooms. Times are Unix milliseconds. An error is a problem \
         document (RFC 9457) whose `code` is stable. A route lists who may call it; one that lists nobody is \
         open to everyone."
            .to_owned(),
    );
    let mut components = Components::new();
    for (name, who) in [
        ("session", "A person: `crs_…`, or in a browser the cookie `chatroom_session`."),
        ("machine", "A machine's daemon: `crm_…`."),
        ("run", "An agent inside its run: `crr_…`."),
    ] {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some(who.to_owned());
        components.add_security_scheme(name, SecurityScheme::Http(bearer));
    }
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}
