//! `/api/auth`, `/api/instances`, `/api/invitations`: accounts and whom they share with.

mod devices;
mod instances;
mod sessions;
mod sign_in;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;

pub(super) use sign_in::{label, signed_in_headers};

/// The routes of this resource.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sign_in::sign_up))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(sign_in::change_password))
        .routes(routes!(sessions::show))
        .routes(routes!(sessions::list, sessions::revoke_others))
        .routes(routes!(sessions::revoke))
        .routes(routes!(devices::start))
        .routes(routes!(devices::poll))
        .routes(routes!(devices::show, devices::decide))
        .routes(routes!(instances::list))
        .routes(routes!(instances::members))
        .routes(routes!(instances::remove_member))
        .routes(routes!(instances::invite))
        .routes(routes!(instances::accept))
}
