from __future__ import annotations

from datetime import datetime, timedelta

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from features.labels import assigned_labels, campaign_labels, category_labels, contact_labels, customer_labels
from tests.features.small_shop import arrow, line, tables_of

AS_OF = datetime(2024, 6, 1)
HORIZON = 28
CATEGORIES = {"bread": "bakery", "milk": "dairy", "tea": "drinks", "pin": None}
PRODUCTS = arrow("products", [{"product_id": p, "category": c} for p, c in CATEGORIES.items()])


def contact(campaign: str, customer: str, at: str, **more: object) -> dict[str, object]:
    return {"campaign_id": campaign, "customer_id": customer, "contacted_at": at, **more}


def response(campaign: str, customer: str, at: str) -> dict[str, object]:
    return {"campaign_id": campaign, "customer_id": customer, "responded_at": at}


def rows(labels, shop: dict, keys: list[str]) -> dict:
    found = labels(tables_of(shop)[0], AS_OF, horizon_days=HORIZON).to_pyarrow().to_pylist()
    return {tuple(row[key] for key in keys): row for row in found}


def test_category_labels_worked_by_hand() -> None:
    bought = [
        line("ann", "1", "2024-05-10", "bread"),
        line("ann", "2", "2024-06-01T00:00", "milk"),  # exactly at the moment: after it
        line("ann", "3", "2024-06-29T00:00", "bread"),  # exactly one horizon after: too late
        line("bob", "1", "2024-01-10", "milk"),
        line("bob", "2", "2024-06-02", "milk", quantity=-1),  # only sends back
        line("bob", "3", "2024-06-03", "tea"),  # a category never sold before
        line("cat", "1", "2024-06-03", "bread"),  # not a customer yet
        line("ann", "4", "2024-05-11", "pin"),  # of no category
    ]
    shop = {"order_lines": arrow("order_lines", bought), "products": PRODUCTS}
    found = rows(category_labels, shop, ["customer_id", "category"])
    told = {key: (row["active"], row["bought_before"], row["bought"]) for key, row in found.items()}
    assert told == {
        ("ann", "bakery"): (True, True, False),
        ("ann", "dairy"): (True, False, True),
        ("bob", "bakery"): (False, False, False),
        ("bob", "dairy"): (False, True, False),
    }


def test_campaign_labels_worked_by_hand() -> None:
    contacts = [
        contact("spring", "ann", "2024-06-01T00:00"),
        contact("spring", "bob", "2024-06-10", treated=False),
        contact("spring", "cat", "2024-05-31T23:59"),  # contacted before the moment
        contact("spring", "cat", "2024-06-20"),  # and again: not the first time
        contact("spring", "dan", "2024-06-29T00:00"),  # a horizon later: too late
        contact("summer", "ann", "2024-06-28", treated=True),
        contact("spring", "eve", "2024-06-05", treated=False),
        contact("spring", "eve", "2024-06-06", treated=True),
    ]
    responses = [
        response("spring", "ann", "2024-06-29T00:00"),  # 28 days after the contact: too late
        response("summer", "ann", "2024-07-25T23:59"),
        response("summer", "bob", "2024-06-11"),  # to a campaign that never contacted him
        response("spring", "eve", "2024-06-04"),  # before the contact
    ]
    bought = [line("bob", "1", "2024-06-12"), line("ann", "1", "2024-05-30"), line("ann", "2", "2024-07-01", "tea")]
    shop = {
        "order_lines": arrow("order_lines", bought),
        "contacts": arrow("contacts", contacts),
        "responses": arrow("responses", responses),
    }
    found = rows(campaign_labels, shop, ["campaign_id", "customer_id"])
    told = {key: (row["treated"], row["responded"], row["bought"]) for key, row in found.items()}
    assert told == {
        ("spring", "ann"): (True, False, False),
        ("spring", "bob"): (False, False, True),
        ("spring", "eve"): (True, False, False),
        ("summer", "ann"): (True, True, True),
    }


def test_contact_labels_worked_by_hand() -> None:
    contacts = [
        contact("spring", "ann", "2024-05-02", channel="mail"),
        contact("spring", "bob", "2024-05-03", channel=None),
        contact("spring", "bob", "2024-05-05", channel="phone"),  # not the first time
        contact("spring", "cat", "2024-05-04", treated=False),  # held out
        contact("spring", "dan", "2024-05-04T00:00", channel="mail"),  # a horizon before the end
        contact("spring", "eve", "2024-05-04T00:01", channel="mail"),  # its horizon has not passed
        contact("spring", "fay", "2024-05-01", channel="phone"),
        contact("spring", "fay", "2024-05-01", channel="mail"),  # at once by two: the first by name
    ]
    responses = [
        response("spring", "ann", "2024-05-29T23:59"),
        response("spring", "ann", "2024-05-12"),  # twice is once
        response("spring", "bob", "2024-05-31"),  # 28 days after the first contact: too late
        response("summer", "dan", "2024-05-06"),  # to another campaign
        response("spring", "fay", "2024-04-30"),  # before the contact
    ]
    shop = {
        "order_lines": arrow("order_lines", [line("ann", "1", "2024-05-01")]),
        "contacts": arrow("contacts", contacts),
        "responses": arrow("responses", responses),
    }
    found = contact_labels(tables_of(shop)[0], until=AS_OF, horizon_days=HORIZON).to_pyarrow().to_pylist()
    told = {row["customer_id"]: (row["contacted_at"].day, row["channel"], row["responded"]) for row in found}
    assert told == {
        "ann": (2, "mail", True),
        "bob": (3, None, False),
        "dan": (4, "mail", False),
        "fay": (1, "mail", False),
    }
    assert len(found) == len(told)


def test_both_arms_of_a_campaign_are_followed_from_its_first_moment_worked_by_hand() -> None:
    contacts = [
        contact("spring", "ann", "2024-06-01T00:00", treated=False),  # the lot was drawn
        contact("spring", "bob", "2024-06-01T00:00", treated=False),
        contact("spring", "cat", "2024-06-15"),  # and the letters sent two weeks later
        contact("spring", "dan", "2024-06-15"),
        contact("spring", "eve", "2024-06-15"),
        contact("spring", "fay", "2024-06-29T00:00"),  # a horizon later: another campaign
        contact("summer", "gus", "2024-06-15"),
    ]
    bought = [
        line("ann", "1", "2024-05-31T23:59"),
        line("bob", "1", "2024-06-28T23:59"),
        line("cat", "1", "2024-06-02"),  # before the letter, and as assigned
        line("dan", "1", "2024-06-29T00:00"),  # within a horizon of the letter, and not of the first moment
        line("eve", "1", "2024-06-16", quantity=-1.0),
        line("eve", "2", "2024-06-20"),
        line("eve", "3", "2024-06-21"),
    ]
    shop = {"order_lines": arrow("order_lines", bought), "contacts": arrow("contacts", contacts)}
    labels = assigned_labels(tables_of(shop)[0], "spring", AS_OF, horizon_days=HORIZON)
    told = {row["customer_id"]: (row["treated"], row["bought"]) for row in labels.to_pyarrow().to_pylist()}
    assert told == {
        "ann": (False, False),
        "bob": (False, True),
        "cat": (True, True),
        "dan": (True, False),
        "eve": (True, True),
    }


hours = st.integers(-70 * 24, 90 * 24).map(lambda hour: AS_OF + timedelta(hours=hour))
edges = st.sampled_from([-HORIZON, 0, HORIZON, 2 * HORIZON]).map(lambda days: AS_OF + timedelta(days=days))
times = hours | edges | edges.map(lambda at: at - timedelta(microseconds=1))
people = st.sampled_from(["ann", "bob", "cat"])
purchases = st.tuples(people, times, st.sampled_from(list(CATEGORIES)), st.sampled_from([1.0, 2.0, -1.0, 0.0]))
contacted = st.tuples(st.sampled_from("xy"), people, times, st.sampled_from([None, True, False]))
responded = st.tuples(st.sampled_from("xy"), people, times)


@given(
    st.lists(purchases, min_size=1, max_size=30),
    st.lists(contacted, min_size=1, max_size=8),
    st.lists(responded, min_size=1, max_size=8),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_labels_say_what_plain_python_says_of_the_rows_from_the_moment_on(bought, contacts, responses) -> None:
    shop = {
        "order_lines": arrow(
            "order_lines", [line(c, str(i), at.isoformat(), p, quantity=q) for i, (c, at, p, q) in enumerate(bought)]
        ),
        "products": PRODUCTS,
        "contacts": arrow("contacts", [contact(x, c, at.isoformat(), treated=t) for x, c, at, t in contacts]),
        "responses": arrow("responses", [response(x, c, at.isoformat()) for x, c, at in responses]),
    }
    horizon = timedelta(days=HORIZON)
    real = [(c, at, p) for c, at, p, q in bought if q > 0]
    known = {c for c, at, _ in real if at < AS_OF}
    after = [(c, at, p) for c, at, p in real if AS_OF <= at < AS_OF + horizon]

    found = rows(customer_labels, shop, ["customer_id"])
    assert {key[0]: row["bought"] for key, row in found.items()} == {c: c in {c for c, _, _ in after} for c in known}
    assert all(row["stopped"] is not row["bought"] for row in found.values())

    sold = {CATEGORIES[p] for _, at, p in real if at < AS_OF} - {None}
    later = {(c, CATEGORIES[p]) for c, _, p in after}
    found = rows(category_labels, shop, ["customer_id", "category"])
    assert {key: row["bought"] for key, row in found.items()} == {
        (c, category): (c, category) in later for c in known for category in sold
    }

    firsts = {(x, c): min(at for y, d, at, _ in contacts if (y, d) == (x, c)) for x, c, _, _ in contacts}
    firsts = {key: at for key, at in firsts.items() if AS_OF <= at < AS_OF + horizon}
    found = rows(campaign_labels, shop, ["campaign_id", "customer_id"])
    assert {key: row["responded"] for key, row in found.items()} == {
        key: any((x, c) == key and at <= when < at + horizon for x, c, when in responses) for key, at in firsts.items()
    }
    assert {key: row["bought"] for key, row in found.items()} == {
        key: any(c == key[1] and at <= when < at + horizon for c, when, _ in real) for key, at in firsts.items()
    }
    assert all(row["contacted_at"] >= row["as_of"] for row in found.values())


@given(st.lists(purchases, min_size=1, max_size=20), st.lists(purchases, max_size=10))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_more_rows_before_the_moment_make_no_label_true(bought, more) -> None:
    """Whoever is known in both has the same labels: what counts as an answer lies at or after the moment."""

    def shop(given_rows) -> dict:
        made = [line(c, str(i), at.isoformat(), p, quantity=q) for i, (c, at, p, q) in enumerate(given_rows)]
        return {"order_lines": arrow("order_lines", made), "products": PRODUCTS}

    past = [(c, min(at, AS_OF - timedelta(microseconds=1)), p, q) for c, at, p, q in more]
    for labels, keys in ((customer_labels, ["customer_id"]), (category_labels, ["customer_id", "category"])):
        before, after = (rows(labels, shop(given_rows), keys) for given_rows in (bought, [*bought, *past]))
        assert set(before) <= set(after)
        assert {key: row["bought"] for key, row in before.items()} == {key: after[key]["bought"] for key in before}
