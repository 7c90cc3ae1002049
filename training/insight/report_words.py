"""The sentences of the report, by language; names of groups, tags and measures are in training.insight.words."""

from __future__ import annotations

from collections.abc import Mapping

from training.insight.words import LANGUAGES

#: key -> English, Chinese. Places in braces are filled in.
TEXTS: Mapping[str, tuple[str, str]] = {
    "title": ("Our customers", "我们的客户"),
    "under_title": (
        "As of {as_of}. Of {customers} customers who ever bought. Figures are of the last 364 days, unless "
        "said otherwise.",
        "截至 {as_of}。共 {customers} 位曾下单的客户。除另有说明外，数字均为最近 364 天。",
    ),
    "contents": ("Contents", "目录"),
    "in_short": ("In short", "要点"),
    "not_told": ("The shop's data do not tell.", "店铺数据中没有这项信息。"),
    "in_numbers": ("In numbers", "具体数字"),
    "by_other_groups": ("By other groups", "按其他分组"),
    "where_each_spends": ("Where each segment spends", "各分群的消费去向"),
    "customers_by_value": ("customers by what each has brought", "按客户价值分布的人数"),
    "sales_tenths": ("How many customers make each tenth of sales", "每十分之一销售额的客户数"),
    "single_products": ("Single products", "单个商品"),
    "lift_rule": ("times usual", "倍数（提升度）"),
    "made_by": (
        "Made by Regulars from lake {lake}. What each figure means, with formula and source: docs/insights.md.",
        "由 Regulars 根据数据版本 {lake} 生成。各项指标的公式与来源见 docs/insights.md。",
    ),
    # Tiles.
    "tile_customers": ("customers ever", "累计客户"),
    "tile_active": ("ordered in the last {days} days", "最近 {days} 天下过单"),
    "tile_spend": ("spent in 364 days", "364 天消费额"),
    "tile_mean": ("a customer, on average", "人均消费"),
    "tile_best": ("best customers", "最佳客户"),
    "tile_lost": ("lost", "已流失"),
    # What stands out.
    "find_top": (
        "The first tenth of customers bring {share} of sales; half of all sales come from {customers} customers.",
        "前十分之一的客户带来 {share} 的销售额；一半的销售额来自 {customers} 位客户。",
    ),
    "find_cannot_lose": (
        "{customers} customers who used to buy much and often have gone silent (“Cannot lose”); they spent "
        "{spend} in the "
        "year. Call them first.",
        "{customers} 位过去买得多、来得勤的客户近来没有下单（“不能流失”），全年消费 {spend}。请优先联系。",
    ),
    "find_states": (
        "{cooling} customers are cooling and {lost} are lost; {back} came back within the last {days} days.",
        "{cooling} 位客户正在冷却，{lost} 位已流失；最近 {days} 天有 {back} 位回归。",
    ),
    "find_cohorts": (
        "Of new customers, {first} order in the month after their first, and {sixth} in the sixth month.",
        "新客户中，{first} 在首单后的次月再次下单，第六个月为 {sixth}。",
    ),
    "find_together": (
        "Orders with {item} hold {other} {lift} times as often as other orders would.",
        "含有 {item} 的订单同时含有 {other} 的几率是平常的 {lift} 倍。",
    ),
    "find_moved": (
        "Since {since}, {down} customers fell from a better grade to a worse one, and {up} rose.",
        "自 {since} 以来，{down} 位客户的等级下降，{up} 位上升。",
    ),
    # Sections: a heading and what it shows.
    "states": ("Customers over time", "客户状态的变化"),
    "states_note": (
        "Every customer is in one state: new (first order within {days} days), active, returned (back after a longer "
        "silence), cooling (silent for more than {days} days), lost (for more than {lost_days}).",
        "每位客户只处于一种状态：新客户（首单在 {days} 天内）、活跃、回归（较长沉默后再次下单）、正在冷却"
        "（超过 {days} 天没有下单）、已流失（超过 {lost_days} 天）。",
    ),
    "cohorts": ("Who keeps coming back", "谁会继续光顾"),
    "cohorts_note": (
        "Customers by the month of their first order (rows), and the share of them who ordered in each month "
        "after. The first "
        "row holds everybody who was a customer before the data begin; the last row leaves it out.",
        "按首单月份分组（行），之后每个月仍下单的比例。首行包含数据开始之前的老客户，末行不计首行。",
    ),
    "cohort": ("first order", "首单月份"),
    "month": ("month {k}", "第 {k} 个月"),
    "all_cohorts": ("all but the first", "除首行外合计"),
    "not_whole": (
        "The data begin less than a year before that day, so some only seem to have risen.",
        "数据在该日之前不足一年，部分上升只是表面现象。",
    ),
    "segments": ("Segments by recency, frequency and value", "按最近、频率与金额分群"),
    "segments_note": (
        "Each customer is scored from 1 to 5 for how lately, how often and for how much they bought; the two "
        "scores place "
        "them in the grid, which names the segment.",
        "按最近下单、下单频率和消费金额各打 1 到 5 分，在网格中的位置决定客户所属的分群。",
    ),
    "rfm_grid": (
        "Customers by recency (rows, latest above) and by frequency and value together (columns, most at the right)",
        "客户数：行为最近程度（越上越近），列为频率与金额（越右越高）",
    ),
    "recency": ("recency {n}", "最近 {n}"),
    "deciles": ("How sales are spread", "销售额的分布"),
    "deciles_note": (
        "Left: the share of sales that the best customers bring. Right: how many customers make each tenth of sales.",
        "左：最好的客户带来的销售份额。右：每十分之一的销售额由多少客户构成。",
    ),
    "sales_tenth": ("tenth of sales", "销售十分位"),
    "at_least": ("each at least", "每人至少"),
    "share_of_customers": ("share of customers, best first", "客户占比（从最好起）"),
    "share_of_sales": ("share of sales", "销售额占比"),
    "best": ("Best customers", "最佳客户"),
    "best_note": (
        "{customers} customers ({share}) reach all three thresholds and bring {spend_share} of sales. The "
        "thresholds are the "
        "shop's to change.",
        "{customers} 位客户（{share}）同时达到三项门槛，带来 {spend_share} 的销售额。门槛可由店铺自行修改。",
    ),
    "threshold": ("threshold", "门槛"),
    "reached_by": ("reached by", "达到人数"),
    "spend_least": ("spend", "消费额"),
    "categories_least": ("categories bought", "购买品类数"),
    "visits_least": ("days with an order", "下单天数"),
    "grades": ("Four grades", "四个等级"),
    "grades_note": (
        "Worth much: at least {value} in 364 days. Loyal: an order in at least {loyalty} of their four-week "
        "periods, of at "
        "least {periods}, and not lost.",
        "高价值：364 天内至少 {value}。忠诚：至少在 {loyalty} 的四周期内下过单（至少 {periods} 个周期），且未流失。",
    ),
    "lifetime": ("Lifetime value", "客户终身价值"),
    "lifetime_note": (
        "What customers brought since they came: {mean} on average, {median} in the middle, {top} or more from "
        "the first "
        "tenth.",
        "客户至今带来的价值：平均 {mean}，中位数 {median}，前十分之一在 {top} 以上。",
    ),
    "predicted_note": (
        "Predicted by the model: {mean} on average, {median} in the middle.",
        "模型预测：平均 {mean}，中位数 {median}。",
    ),
    "behaviour": ("Customers who shop alike", "行为相似的客户"),
    "behaviour_note": (
        "{k} segments, found by k-means; drawn anew, they agree at {stability} (1 would be the same). Figures "
        "are standard "
        "deviations from the mean customer.",
        "用 k-means 找到 {k} 个分群；重新抽样后的一致度为 {stability}（1 为完全相同）。数字为与平均客户相差的标准差。",
    ),
    "tags": ("Tags", "标签"),
    "tags_note": ("Each tag has a rule; the date says when it held.", "每个标签都有规则；日期为规则成立的日期。"),
    "rule": ("rule", "规则"),
    "date": ("date", "日期"),
    "movement": ("Who moved", "分群间的流动"),
    "movement_note": (
        "From the segment of {since} (rows) to that of now (columns).",
        "从 {since} 的分群（行）到现在的分群（列）。",
    ),
    "products": ("Products people come back for", "回头购买的商品"),
    "products_note": (
        "The products of most buyers: who bought them again, and after how many days.",
        "购买人数最多的商品：多少人再次购买，相隔多少天。",
    ),
    "buyers": ("buyers", "购买人数"),
    "again": ("bought again", "再次购买"),
    "gap": ("days between", "间隔天数"),
    "baskets": ("What is bought together", "一起购买的商品"),
    "baskets_note": (
        "Of orders with the first, the share that hold the second too (confidence), and how many times the "
        "usual share that is "
        "(lift).",
        "含有前者的订单中同时含有后者的比例（置信度），以及相当于平常的多少倍（提升度）。",
    ),
    "confidence": ("confidence", "置信度"),
    "lift": ("lift", "提升度"),
    "cross_sell": ("What else to offer", "交叉销售"),
    "cross_sell_note": (
        "Of customers who buy the category of the row, the share who buy that of the column too. Pale: still open.",
        "购买行中品类的客户里，同时购买列中品类的比例。颜色越浅，机会越多。",
    ),
    "up_sell": ("Who moves to dearer products", "向上销售"),
    "up_sell_note": (
        "Price tier in the half year before (rows) and in the last half year (columns): pairs of customer and "
        "category.",
        "前半年的价格档（行）与最近半年的价格档（列）：客户与品类的组合数。",
    ),
    "low": ("low price", "低价"),
    "middle": ("middle price", "中价"),
    "high": ("high price", "高价"),
    "up": ("moved up", "升档"),
    "down": ("moved down", "降档"),
    "affinity": ("For whom each category sells", "各品类的主要客户"),
    "affinity_note": (
        "100: as often as all customers. Bold where chance does not explain it.",
        "100 表示与全体客户相同；粗体表示并非偶然。",
    ),
    "places": ("Channels and stores", "渠道与门店"),
    "places_note": ("And where each segment spends.", "以及各分群的消费去向。"),
    "campaigns": ("Campaigns", "营销活动"),
    "campaigns_note": (
        "Lift: the share of contacted customers who bought in {days} days, less that of those held out, with "
        "its 95 % interval. "
        "Without a hold-out nobody knows what would have been bought anyway.",
        "提升：被联系客户在 {days} 天内的购买比例减去对照组的比例，附 95% 区间。没有对照组，就无从得知本来会买多少。",
    ),
    "no_campaigns": ("No campaign is loaded.", "没有营销活动数据。"),
    "campaign": ("campaign", "活动"),
    "contacted": ("contacted", "联系人数"),
    "held_out": ("held out", "对照组"),
    "responded": ("responded", "响应"),
    "profit": ("profit", "利润"),
    "no_hold_out": ("no hold-out", "无对照组"),
    "not_yet_known": ("{n} not yet known", "{n} 位尚未到期"),
    "cube": ("When and what", "时间与商品"),
    "cube_note": (
        "Two faces of the cube; the console shows any other.",
        "数据立方体的两个切面；其余可在控制台查看。",
    ),
    # Heads of columns.
    "group": ("group", "分群"),
    "share": ("share", "占比"),
    "spend_share": ("share of sales", "销售占比"),
    "silent": ("days silent (median)", "沉默天数（中位数）"),
    "first": ("first contact", "首次联系"),
    "of_orders": ("orders", "订单数"),
    "of_customers": ("customers", "客户数"),
    "per_customer": ("spend a customer", "人均消费"),
    "per_order": ("spend an order", "单均消费"),
}


def text(key: str, language: str, **places: object) -> str:
    """A sentence of the report in a language, its places filled in."""
    return TEXTS[key][LANGUAGES.index(language)].format(**places)
