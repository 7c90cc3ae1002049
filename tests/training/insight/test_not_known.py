"""What the shop does not know comes out as not known, never as 0."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from tests.training.insight.conftest import MakeShop
from training.insight.cube import make_cube
from training.insight.customer_grades import GradeRule
from training.insight.customers import customer_facts, spend_by_period
from training.insight.dimensions import make_behaviour_table, make_product_tables
from training.insight.faces import ALL, Cube
from training.insight.picture import moved_lately
from training.insight.places import place_performance
from training.insight.portrait import Rules, portray
from training.insight.shop import Shop

GOODS = ("tea,drinks,1.00", "doll,toys,")
LINES = tuple(
    f"o{n},c{n},{what},2024-05-0{n} 10:00:00,1,4.00,0,{'north' if n < 3 else 'south'}"
    for n in range(1, 5)
    for what in ("tea", "doll")
)


def cube_of(shop: Shop) -> Cube:
    orders = make_behaviour_table(shop)
    return make_cube(shop, [*make_product_tables(shop), *orders])


def test_where_a_cost_is_missing_no_face_shows_part_of_a_margin(make_shop: MakeShop) -> None:
    cube = cube_of(make_shop(*LINES, goods=GOODS, as_of="2024-06-01"))
    for rows, columns in (("category", ALL), ("category", "store"), ("store", ALL)):
        assert np.isnan(cube.face(rows, columns, "margin")).all()
    assert cube.face("category", ALL, "spend").ravel().tolist()[:2] == [16.0, 16.0]


def test_where_every_cost_is_known_the_margin_is_whole(make_shop: MakeShop) -> None:
    cube = cube_of(make_shop(*LINES, goods=("tea,drinks,1.00", "doll,toys,3.00"), as_of="2024-06-01"))
    assert cube.face("category", ALL, "margin").ravel().tolist()[:2] == [12.0, 4.0]
    assert np.nansum(cube.face("category", "store", "margin")) == np.nansum(cube.face("store", ALL, "margin")) == 16.0


def test_without_amounts_orders_are_told_and_spend_is_not(make_shop: MakeShop) -> None:
    lines = [line.replace("4.00", "") for line in LINES]
    cube = cube_of(make_shop(*lines, goods=GOODS, as_of="2024-06-01"))
    assert np.isnan(cube.face("category", ALL, "spend")).all()
    assert cube.face("store", ALL, "orders").ravel().tolist()[:2] == [2.0, 2.0]
    places = place_performance(cube, by="category")
    assert places is not None
    north = places["store"]["places"][0]
    assert (north["place"], north["customers"], north["orders"]) == ("north", 2.0, 2.0)
    assert {north[name] for name in ("spend", "spend_per_customer", "spend_per_order", "share")} == {None}
    assert {one for row in places["store"]["values"] for one in row} == {None}


def test_places_share_the_spend_of_each_group(make_shop: MakeShop) -> None:
    places = place_performance(cube_of(make_shop(*LINES, goods=GOODS, as_of="2024-06-01")), by="category")
    assert places is not None
    assert [row["share"] for row in places["store"]["places"]] == [0.5, 0.5]
    # Nobody bought anything else, so that it is not shared.
    assert places["store"]["values"] == [[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [None] * 3]


def test_who_moved_between_grades_did_so_by_one_measure(make_shop: MakeShop) -> None:
    # The cost of what one of them bought last month is not known, so that spend decides, now and then.
    days = [datetime(2023, 7, 1) + timedelta(days=40 * n) for n in range(8)]
    lines = [f"o{n}{day:%m%d},c{n},tea,{day},1,{10 + n},0,north" for n in range(8) for day in days]
    lines.append("z,c0,doll,2024-05-20 10:00:00,1,1.00,0,north")
    found = []
    for goods in (("tea,drinks,9.00", "doll,toys,"), ("tea,drinks,", "doll,toys,")):
        shop = make_shop(*lines, goods=goods, as_of="2024-06-01")
        facts = customer_facts(shop)
        columns, _ = portray(shop, facts, spend_by_period(shop)[1], rules=Rules(), scores={})
        found.append(moved_lately(shop, facts, columns, rules=Rules(grade=GradeRule(value=100, loyalty=0.5))))
    assert found[0] == found[1]
    assert found[0] is not None
    worth_much = np.array(found[0]["grade"]["values"])[:2].sum()
    assert worth_much == 3  # customers with seven orders of 15, 16 and 17
