"""Why a product is suggested, in the reader's language, from the numbers that the answer carries with its reason."""

from __future__ import annotations

from msgspec import UNSET

from serving import candidates as c
from serving.console.retold import retold
from serving.schemas import Grounds, Item

SOURCES = {
    c.OWN_HISTORY: "以前买过",
    c.ALS: "与该客户购买习惯相近的客户会买",
    c.ITEM_ITEM: "购买同类商品的客户也买",
    c.NEXT_ORDER: "常在这样的订单之后购买",
    c.SIMILAR_CUSTOMERS: "订单相近的客户会买",
    c.SEGMENT: "同类客户中的热销商品",
    c.PROFILE: "相近资料的客户中的热销商品",
    c.POPULAR: "当前热销商品",
    c.CATALOGUE: "来自商品目录，用于补足列表",
    c.PINNED: "由店铺指定的位置",
    c.CART: "常与购物车中的商品一起购买",
    c.SESSION: "与本次浏览的商品相关",
    c.TOGETHER: "常一起购买",
    c.CATEGORY: "同一品类",
    c.DUE: "到了再次购买的时间",
    c.TRENDING: "近期销量上升",
    c.NEW: "新品",
}


def why(item: Item, lang: str) -> str:
    """The reason of one suggestion; in English as the API tells it."""
    if lang != "zh":
        return item.reason
    grounds = Grounds() if item.grounds is UNSET else item.grounds
    if grounds.every_days is not None:
        return f"大约每 {max(round(grounds.every_days), 1)} 天购买一次，上次在 {grounds.days_ago} 天前"
    if grounds.orders is not None:
        last = "" if grounds.days_ago is None else f"，上次在 {grounds.days_ago} 天前"
        return f"在 {grounds.orders} 个订单中买过{last}"
    if grounds.support is not None:
        return f"与 {grounds.product_id} 一起出现在 {grounds.support} 个订单中，为偶然的 {grounds.lift:.1f} 倍"
    if grounds.lately is not None:
        return f"最近 {grounds.window_days} 天 {grounds.lately} 个订单，之前同期 {grounds.before} 个"
    if grounds.listed_on is not None:
        return f"{grounds.listed_on} 上架的新品"
    return SOURCES.get(item.source) or retold(item.reason, lang)
