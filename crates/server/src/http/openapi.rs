//! The description of the API.

use chatroom_protocol::api::terminal::{Typing, ViewerSays};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Info, OpenApi, OpenApiBuilder};
use utoipa::{PartialSchema as _, ToSchema as _};

/// Returns the description of every route, as `/api/openapi.json` shows it.
pub fn description() -> OpenApi {
    let mut description = super::api().into_openapi();
    name_operations(&mut description);
    description
}

/// Gives every operation a name of its own, as OpenAPI wants it: method and path, such as
/// `get_chatrooms_chatroomId`. By default it is that of the handler, and many handlers are called alike.
pub(super) fn name_operations(description: &mut OpenApi) {
    for (path, item) in &mut description.paths.paths {
        let path = path.trim_start_matches("/api").replace(['{', '}'], "").replace(['/', '.'], "_");
        for (method, operation) in [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ] {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}{path}"));
            }
        }
    }
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
    // Named by a parameter and by words, where utoipa finds none.
    components.schemas.insert(Typing::name().into_owned(), Typing::schema());
    components.schemas.insert(ViewerSays::name().into_owned(), ViewerSays::schema());
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
