"""Every page of the console with what answers it. Who may see it stands in `page`; the paths of forms are their own."""

from __future__ import annotations

from serving.console import (
    handlers_actions,
    handlers_customer,
    handlers_list,
    handlers_login,
    handlers_models,
    handlers_plan,
    handlers_products,
    handlers_selling,
    handlers_shop,
)
from serving.console.pages import ADMIN, page, public
from serving.route_table import PUBLIC, ApiRoute


def _get(path: str, answer: object) -> ApiRoute:
    return ApiRoute("GET", path, answer, PUBLIC)  # type: ignore[arg-type]


def _post(path: str, answer: object) -> ApiRoute:
    return ApiRoute("POST", path, answer, PUBLIC)  # type: ignore[arg-type]


#: To the gate they are public: who asks shows a session and not a key.
CONSOLE_ROUTES = (
    _get("/console", public(handlers_login.start)),
    _get("/console/login", public(handlers_login.form)),
    _post("/console/session", public(handlers_login.log_in)),
    _post("/console/looks", public(handlers_login.looks)),
    _get("/console/static/{name:path}", public(handlers_login.static)),
    _post("/console/logout", page(handlers_login.log_out)),
    _get("/console/at-risk", page(handlers_list.the_page)),
    _get("/console/at-risk/spend", page(handlers_list.spend)),
    _get("/console/at-risk/export", page(handlers_list.export)),
    _post("/console/views", page(handlers_list.save_view)),
    _post("/console/views/forget", page(handlers_list.forget_view)),
    _get("/console/customer/panel", page(handlers_actions.panel)),
    _post("/console/outcomes", page(handlers_actions.record)),
    _post("/console/assign", page(handlers_actions.assign)),
    _post("/console/snooze", page(handlers_actions.snooze)),
    _get("/console/customer", page(handlers_customer.one)),
    _get("/console/plan", page(handlers_plan.the_page)),
    _post("/console/plan/record", page(handlers_plan.record)),
    _get("/console/plan/list", page(handlers_plan.as_file)),
    _get("/console/products", page(handlers_products.the_page)),
    _get("/console/selling", page(handlers_selling.the_page)),
    _get("/console/overview", page(handlers_shop.overview)),
    _get("/console/cube", page(handlers_shop.cube)),
    _get("/console/models", page(handlers_models.the_page)),
    _get("/console/models/versions", page(handlers_models.versions)),
    _get("/console/models/picture", page(handlers_models.picture)),
    _post("/console/models/promote", page(handlers_models.promote, scopes=ADMIN)),
    _post("/console/models/rollback", page(handlers_models.rollback, scopes=ADMIN)),
    _get("/console/{rest:path}", page(handlers_login.nowhere)),
)
