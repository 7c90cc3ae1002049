"""What the keys of the picture are called, by language: groups, states, tags, traits, dimensions, measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from features.errors import ConfigError

#: key -> English, Chinese.
WORDS: Mapping[str, tuple[str, str]] = {
    # Segments by recency, frequency and value.
    "champions": ("Champions", "冠军客户"),
    "loyal": ("Loyal", "忠诚客户"),
    "potential_loyalists": ("Potential loyalists", "潜在忠诚客户"),
    "recent": ("Recent, still small", "近期小额客户"),
    "promising": ("Promising", "有希望的客户"),
    "need_attention": ("Need attention", "需要关注"),
    "about_to_sleep": ("About to sleep", "即将沉睡"),
    "cannot_lose": ("Cannot lose", "不能流失"),
    "at_risk": ("At risk", "有流失风险"),
    "hibernating": ("Hibernating", "休眠客户"),
    "not_yet": ("Not yet a customer", "尚未成为客户"),
    # Stages and states.
    "new": ("New", "新客户"),
    "regular": ("Regular", "常客"),
    "slipping": ("Slipping", "正在疏远"),
    "lapsed": ("Lapsed", "已中断"),
    "lost": ("Lost", "已流失"),
    "active": ("Active", "活跃"),
    "returned": ("Returned", "回归"),
    "cooling": ("Cooling", "正在冷却"),
    # Grades of customers.
    "A": ("A: worth much, loyal", "A：高价值、忠诚"),
    "B": ("B: worth much, not loyal", "B：高价值、不忠诚"),
    "C": ("C: loyal, worth less", "C：忠诚、价值较低"),
    "D": ("D: neither", "D：两者皆否"),
    # Tags.
    "best": ("Best customer", "最佳客户"),
    "newcomer": ("Newcomer", "新来的"),
    "one_order": ("One order", "只下过一单"),
    "frequent": ("Comes often", "常来"),
    "big_orders": ("Big orders", "大单"),
    "explorer": ("Buys across the range", "品类广"),
    "specialist": ("One category", "专买一类"),
    "bargain_hunter": ("Bargain hunter", "爱买折扣"),
    "full_price": ("Full price", "原价购买"),
    "weekend": ("Weekend shopper", "周末购物"),
    "evening": ("Evening shopper", "晚间购物"),
    "returns_much": ("Returns much", "退货多"),
    "responds": ("Responds to campaigns", "响应活动"),
    "growing": ("Growing", "消费增长"),
    "shrinking": ("Shrinking", "消费减少"),
    # Traits that name the segments of behaviour.
    "days_silent_high": ("silent for long", "久未下单"),
    "days_silent_low": ("ordered lately", "最近下过单"),
    "visits_high": ("come often", "来得多"),
    "visits_low": ("come seldom", "来得少"),
    "order_spend_high": ("large orders", "单次消费高"),
    "order_spend_low": ("small orders", "单次消费低"),
    "order_lines_high": ("many products an order", "每单商品多"),
    "order_lines_low": ("few products an order", "每单商品少"),
    "categories_high": ("many categories", "品类多"),
    "categories_low": ("few categories", "品类少"),
    "discount_high": ("buy at a discount", "偏爱折扣"),
    "discount_low": ("pay full price", "少用折扣"),
    "weekend_high": ("at the weekend", "周末购物"),
    "weekend_low": ("on weekdays", "平日购物"),
    "evening_high": ("in the evening", "晚间购物"),
    "evening_low": ("by day", "白天购物"),
    "average": ("like most", "与多数人相近"),
    # Dimensions, and values that are not the shop's own.
    "segment": ("Segment", "客户分群"),
    "grade": ("Grade", "客户等级"),
    "stage": ("Stage", "生命周期阶段"),
    "decile": ("Tenth of customers", "客户十分位"),
    "behaviour": ("Behaviour", "行为分群"),
    "department": ("Department", "部门"),
    "category": ("Category", "品类"),
    "brand": ("Brand", "品牌"),
    "channel": ("Channel", "渠道"),
    "store": ("Store", "门店"),
    "usual_store": ("Usual store", "常去门店"),
    "weekday": ("Day of the week", "星期"),
    "daypart": ("Time of day (UTC)", "时段 (UTC)"),
    "period": ("Four weeks from", "四周起始日"),
    "other": ("Other", "其他"),
    "not_known": ("Not known", "未知"),
    "monday": ("Monday", "星期一"),
    "tuesday": ("Tuesday", "星期二"),
    "wednesday": ("Wednesday", "星期三"),
    "thursday": ("Thursday", "星期四"),
    "friday": ("Friday", "星期五"),
    "saturday": ("Saturday", "星期六"),
    "sunday": ("Sunday", "星期日"),
    "night": ("Night, 0 to 6", "夜间 0 至 6 时"),
    "morning": ("Morning, 6 to 12", "上午 6 至 12 时"),
    "afternoon": ("Afternoon, 12 to 18", "下午 12 至 18 时"),
    "evening_hours": ("Evening, 18 to 24", "晚间 18 至 24 时"),
    # Tiers of price.
    "low_tier": ("Low", "低价"),
    "middle_tier": ("Middle", "中价"),
    "high_tier": ("High", "高价"),
    # Measures.
    "customers": ("Customers", "客户数"),
    "orders": ("Orders", "订单数"),
    "units": ("Units", "件数"),
    "spend": ("Spend", "消费额"),
    "margin": ("Margin", "毛利"),
    "spend_per_customer": ("Spend per customer", "人均消费"),
    "spend_per_order": ("Spend per order", "单均消费"),
    "orders_per_customer": ("Orders per customer", "人均订单"),
}
#: The rules of the tags, with their threshold as a number or as a share.
RULES: Mapping[str, tuple[str, str]] = {
    "best": ("reaches all thresholds of the best-customer rule", "达到最佳客户规则的全部门槛"),
    "newcomer": ("stage: new", "生命周期阶段为新客户"),
    "one_order": ("one order ever", "只有一张订单"),
    "frequent": ("{number} days with an order or more in 364", "364 天内下单 {number} 天或以上"),
    "big_orders": ("{number} an order or more, 5 orders at least", "单均消费 {number} 或以上，至少 5 单"),
    "explorer": ("{number} categories or more in 364 days", "364 天内购买 {number} 个品类或以上"),
    "specialist": (
        "{share} of spend or more in one category, 5 orders at least",
        "{share} 或以上的消费在同一品类，至少 5 单",
    ),
    "bargain_hunter": ("{share} off the full price or more, 5 orders at least", "折扣占原价 {share} 或以上，至少 5 单"),
    "full_price": ("{share} off the full price at most, 5 orders at least", "折扣占原价不超过 {share}，至少 5 单"),
    "weekend": ("{share} of orders at the weekend or more, 5 at least", "{share} 或以上的订单在周末，至少 5 单"),
    "evening": (
        "{share} of orders from 18 o'clock (UTC) or more, 5 at least",
        "{share} 或以上的订单在 18 时后 (UTC)，至少 5 单",
    ),
    "returns_much": ("{share} of spend returned or more", "退货占消费 {share} 或以上"),
    "responds": ("answered a campaign", "响应过营销活动"),
    "growing": (
        "12 weeks' spend {number} times that of the 12 before or more",
        "近 12 周消费为之前 12 周的 {number} 倍或以上",
    ),
    "shrinking": (
        "12 weeks' spend {number} times that of the 12 before or less",
        "近 12 周消费为之前 12 周的 {number} 倍或以下",
    ),
}
LANGUAGES = ("en", "zh")
DEFAULT = "en"


def word(key: str, language: str = DEFAULT) -> str:
    """What a key is called; a name of the shop's own (a category, a store) stays as it is.

    Raises ConfigError for a language that there is not.
    """
    if language not in LANGUAGES:
        raise ConfigError(f"The picture is not told in '{language}'. Languages: {', '.join(LANGUAGES)}.")
    found = WORDS.get(key)
    if found is None:
        return key.removeprefix("attribute_").replace("_", " ") if key.startswith("attribute_") else key
    return found[LANGUAGES.index(language)]


def segment_name(named_by: Sequence[Sequence[str]], language: str = DEFAULT) -> str:
    """What a segment of behaviour is called, by the traits it is named by."""
    if not named_by:
        return word("average", language)
    return ("，" if language == "zh" else ", ").join(word(f"{trait}_{side}", language) for trait, side in named_by)


def tag_rule(tag: str, threshold: float | None, language: str = DEFAULT) -> str:
    """The rule of a tag in words, with its threshold."""
    number, share = ("", "") if threshold is None else (f"{threshold:,.3g}", f"{threshold:.0%}")
    return RULES[tag][LANGUAGES.index(language)].format(number=number, share=share)
