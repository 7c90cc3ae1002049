"""What the list of customers at risk is asked for: the address of a page, a saved view and an export are all one."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from serving.schemas_customers import AtRiskQuery, SortKey, Stage
from training.reason_messages import MESSAGES

SIZES = (25, 50, 100)
#: Of the filter by agent: the one who asks, and nobody.
ME, NOBODY = "-me", "-nobody"


class ListQuery(Struct, frozen=True, omit_defaults=True):
    """Filters, order and page."""

    risk: Annotated[float, Meta(ge=0, le=100)] = 0.0  # least churn probability, in percent
    value: Annotated[float, Meta(ge=0, le=1e12)] = 0.0  # least value at risk
    stage: Stage | None = None
    reason: Annotated[str, Meta(max_length=40)] | None = None  # one of MESSAGES
    store: Annotated[str, Meta(max_length=200)] | None = None  # where the customer usually buys
    segment: Annotated[str, Meta(max_length=100)] | None = None  # of the shop's picture, as store, grade and tag
    grade: Annotated[str, Meta(max_length=100)] | None = None
    tag: Annotated[str, Meta(max_length=100)] | None = None
    attribute: Annotated[str, Meta(max_length=300)] | None = None  # name=value, of the shop's file of customers
    overdue: bool = False
    agent: Annotated[str, Meta(max_length=100)] | None = None
    find: Annotated[str, Meta(max_length=200)] | None = None  # part of a customer's id
    all: bool = False  # also who was contacted lately, is held out, or snoozed
    sort: SortKey = "value_at_risk"
    up: bool = False  # lowest first
    page: Annotated[int, Meta(ge=1, le=2**40)] = 1
    size: Literal[25, 50, 100] = 25

    def of_the_api(self, lang: str) -> AtRiskQuery:
        """The part of it that the API knows."""
        return AtRiskQuery(
            min_probability=self.risk / 100,
            min_value_at_risk=self.value,
            stage=self.stage,
            sort=self.sort,
            limit=self.size,
            offset=(self.page - 1) * self.size,
            include_contacted=self.all,
            lang=lang,  # type: ignore[arg-type]
        )

    def address(self, **changes: object) -> str:
        """What stands behind the ? for this list with changes; a change of anything but the page leads to page 1."""
        if changes and "page" not in changes:
            changes["page"] = 1
        changed = msgspec.structs.replace(self, **changes)
        given = msgspec.to_builtins(changed)
        plain = {name: _plain(value) for name, value in given.items() if value is not None}
        return urlencode(plain)

    def sorted_by(self, sort: str) -> str:
        """The address of the list by that column; asked for again, the other way round."""
        return self.address(sort=sort, up=not self.up if sort == self.sort else False)

    @property
    def narrows(self) -> bool:
        """Whether any filter is set."""
        unfiltered = ListQuery(sort=self.sort, up=self.up, page=self.page, size=self.size)
        return self != unfiltered

    @property
    def groups(self) -> dict[str, str]:
        """The groups of the shop's picture that customers must be in."""
        named = {"usual_store": self.store, "segment": self.segment, "grade": self.grade, "tag": self.tag}
        return {group: value for group, value in named.items() if value is not None}

    @property
    def is_reason_known(self) -> bool:
        """Whether the reason asked for is one there is."""
        return self.reason is None or self.reason in MESSAGES


def _plain(value: object) -> object:
    if isinstance(value, bool):
        return "true"
    return int(value) if isinstance(value, float) and value.is_integer() else value
