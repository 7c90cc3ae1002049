"""Sentences of models, gate, plan and problems in Chinese. Before the colon stands the English as it is written.

Places stand in braces: {n#} holds no space, {why*} anything, others no more than a sentence. Of two forms that fit, the
first is taken. A test reads the English in the modules that write it, so that none is missing here.
"""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    # The list, the plan and suggestions: why they are plainer than asked
    "nothing is scored yet": "还没有评分",
    "there is no recommender champion": "没有推荐冠军模型",
    "run: regulars {what*}": "请运行：regulars {what}",
    "there is no churn model, so active customers stand by days since their last order": (
        "没有流失模型，活跃客户按距上次下单的天数排列"
    ),
    "there is no {key#}, so the list stands by churn_probability": "没有{key}，列表按流失概率排列",
    "there is no churn model, so nobody's risk is known": "没有流失模型，无法得知任何客户的风险",
    "the shop has no amounts, so nobody's worth is known: give customer_worth": (
        "店铺没有金额数据，无法得知客户价值，请填写客户价值"
    ),
    "a list holds {n#} contacts at most; more would pay": "名单最多 {n} 人，联系更多人仍有收益",
    "no contact is expected to earn its cost": "预计没有任何联系能收回成本",
    "the filters leave nothing; these are popular products without them": "筛选后没有商品，这里是不加筛选的热销商品",
    "customer '{id}' has no order yet": "客户 {id} 还没有订单",
    "not known in the {where#}: {named} and {n#} more": "{where}中未知：{named} 等另外 {n} 种",
    "not known in the {where#}: {named}": "{where}中未知：{named}",
    "and {n#} more": "等另外 {n} 种",
    "customer '{id}' is not known": "客户 {id} 未知",
    "customer '{id}' has no list yet": "客户 {id} 还没有推荐列表",
    "product '{id}' has none": "商品 {id} 没有此类商品",
    "nothing eligible came from the {source#} list": "“{source}”没有给出可展示的商品",
    "the {n#} ms a request may take were spent before the {source#} list": (
        "在“{source}”之前，请求允许的 {n} 毫秒已用完"
    ),
    # What a plan takes for granted
    "A contact costs {amount}.": "每次联系花费 {amount}。",
    "The offer costs {amount} for each who takes it; who would have stayed takes it too.": (
        "每位接受优惠的客户花费 {amount}；原本会留下的客户也会接受。"
    ),
    "The campaign itself costs {amount}.": "活动本身花费 {amount}。",
    "Margin is {share#} of spend. A customer saved brings {times#} times their spend of {days#} days.": (
        "毛利为消费的 {share}。挽回一位客户带来其 {days} 天消费的 {times} 倍。"
    ),
    "Margin is {share#} of spend.": "毛利为消费的 {share}。",
    "A customer saved brings {times#} times their spend of {days#} days.": (
        "挽回一位客户带来其 {days} 天消费的 {times} 倍。"
    ),
    "What a contact changes was learned for each customer from {source}: uplift x value ranks the list.": (
        "联系对每位客户的作用由{source}学得：名单按“增益乘以价值”排列。"
    ),
    "campaigns of the past": "以往的活动",
    "Of customers unlike any on those lists it is a guess.": "对于与以往名单上的客户都不相似的客户，这只是猜测。",
    "Of contacted customers who would have stopped, {rate#} stay for it: measured by {source}, 95 % interval {low#} to "
    "{high#}.": "被联系且原本会流失的客户中，{rate} 因此留下：由 {source}测得，95% 区间为 {low} 至 {high}。",
    "The interval holds 0, so the contacts may have done nothing, or harm.": (
        "区间包含 0，因此联系可能没有作用，甚至有害。"
    ),
    "Of contacted customers who would have stopped, {rate#} stay for it: assumed, for no campaign has measured it yet "
    "({source}).": "被联系且原本会流失的客户中，{rate} 因此留下：此为假设，还没有活动测量过（{source}）。",
    "Of contacted customers who would have stopped, {rate#} stay for it: {how}.": (
        "被联系且原本会流失的客户中，{rate} 因此留下：{how}。"
    ),
    "Of contacted customers who would have stopped, {rate#} stay for it": "被联系且原本会流失的客户中，{rate} 因此留下",
    "assumed, for no campaign has measured it yet ({source})": "此为假设，还没有活动测量过（{source}）",
    "as told, not measured": "按填写的数值，未经测量",
    "nobody was held out": "没有设对照组",
    "{n#} customers held out so far, {stopped#} of whom stopped": "迄今对照组 {n} 人，其中 {stopped} 人流失",
    "{n#} campaigns ({contacted#} contacted, {held#} held out)": "{n} 次活动（联系 {contacted} 人，对照组 {held} 人）",
    "1 campaign ({contacted#} contacted, {held#} held out)": "1 次活动（联系 {contacted} 人，对照组 {held} 人）",
    "{campaigns} ({contacted#} contacted, {held#} held out)": "{campaigns}（联系 {contacted} 人，对照组 {held} 人）",
    "{n#} campaigns": "{n} 次活动",
    "1 campaign": "1 次活动",
    "A contact can also make a customer leave; only a hold-out shows it.": (
        "联系也可能促使客户离开，只有对照组才能看出。"
    ),
    "Below {rate#} the list earns nothing.": "低于 {rate} 时，名单没有收益。",
    "Limits: {one} and {other}.": "限制：{one}，以及{other}。",
    "Limits: {one}.": "限制：{one}。",
    "a budget of {amount}, were every offer taken": "预算 {amount}（按所有优惠都被接受计）",
    "{n#} contacts": "联系 {n} 人",
    "No limit but the profit.": "除利润外没有限制。",
    "Nobody is held out, so what the contacts change cannot be measured.": "没有设对照组，因此无法测量联系的作用。",
    "{share#} are left alone, drawn by lot ({n#} customers), so that the effect can be measured.": (
        "抽签留出 {share}（{n} 位客户）不联系，以便测量效果。"
    ),
    "It gives up {amount} of expected profit.": "为此放弃预计利润 {amount}。",
    "It tells a difference of {share#} of customers or more; a smaller one stays unseen.": (
        "能看出占客户 {share} 及以上的差异，更小的差异看不出来。"
    ),
    "Left out: who opted out, ever; who was contacted or put on a list within {days#} days; who another campaign "
    "holds out and has not measured yet.": (
        "不包括：已退订的客户；{days} 天内联系过或列入名单的客户；其他活动留作对照且尚未测量的客户。"
    ),
    "The churn model's predictions are graded {grade#}: {why*}.": "流失模型的预测评级为“{grade}”：{why}。",
    # How far a model can be relied on
    "{steps*}. Decided by {deciding}": "{steps}。由以下几项决定：{deciding}",
    "Decided by {deciding}": "由以下几项决定：{deciding}",
    "AUC surely above {n#}": "AUC 确定高于 {n}",
    "mean error of the probabilities {n#}": "概率的平均误差 {n}",
    "that error over the rarer outcome's rate {n#}": "该误差与较少结果的比率之比 {n}",
    "AUC over the best simple rule's {n#}": "AUC 超出最佳简单规则 {n}",
    "correlation surely above {n#}": "相关系数确定高于 {n}",
    "error of the total, as a share {n#}": "总额误差占比 {n}",
    "mean error over the best simple guess's {n#}": "平均误差与最佳简单猜测之比 {n}",
    # The gate and the promotion log
    "its {metric#} on the back-test is not a number ({n#})": "其回测的 {metric} 不是数字（{n}）",
    "first version ({metric#} {n#})": "首个版本（{metric} {n}）",
    "champion version {n#}": "冠军第 {n} 版",
    "{name} could not be compared: {why*}": "无法与{name}比较：{why}",
    "{name} has no usable {metric#} on this back-test, the challenger has {n#}": (
        "{name}在此回测中没有可用的 {metric}，挑战者为 {n}"
    ),
    "{metric#} {ours#}, {name} {theirs#} on the same back-test; {ahead}": (
        "{metric} {ours}，{name}在同一回测中为 {theirs}；{ahead}"
    ),
    "{metric#} {ours#}, {name} {theirs#} on the same back-test{ahead}": (
        "{metric} {ours}，{name}在同一回测中为 {theirs}{ahead}"
    ),
    "{gain#} customer by customer, 95% interval {low#} to {high#}": "逐客户比较 {gain}，95% 区间为 {low} 至 {high}",
    "not worse: {numbers*}": "不差于冠军：{numbers}",
    "not worse within {share#}: {numbers*}": "在 {share} 以内不差于冠军：{numbers}",
    "worse: {numbers*}": "差于冠军：{numbers}",
    "forced, although {why*}": "强制提升，尽管{why}",
    "versions {one#} and {other#} were never measured on the same back-test": (
        "第 {one} 版与第 {other} 版没有在同一回测中测量过"
    ),
    "it predicts {theirs#} days ahead and this back-test {ours#}, so their numbers do not compare. Promote it by "
    "name if the new horizon is meant": (
        "它预测 {theirs} 天，而此回测为 {ours} 天，数值不可比。若确实要用新的预测期，请按名称提升"
    ),
    "it has seen what customers did up to {day#}, so it knows answers of the back-test that starts on {start#}": (
        "它已见过截至 {day} 的客户行为，因此知道 {start} 开始的回测的答案"
    ),
    "its ranker learned from orders up to {day#}, so it has seen the answers of the back-test that starts on "
    "{start#}": ("其排序模型学习了截至 {day} 的订单，因此见过 {start} 开始的回测的答案"),
    "{model#} version {n#} is champion already; nothing to do.": "{model}第 {n} 版已是冠军，无需操作。",
    "{model#} version {n#} was not promoted: {why*}. To promote it all the same: regulars promote {again*}": (
        "{model}第 {n} 版未提升：{why}。仍要提升请运行：regulars promote {again}"
    ),
    "{model#} has no champion. Train one first: regulars train {other#}": (
        "{model}没有冠军版本。请先训练：regulars train {other}"
    ),
    "{model#} has no version to promote. Train one first: regulars train {other#}": (
        "{model}没有可提升的版本。请先训练：regulars train {other}"
    ),
    "{model#}: no version was champion before version {n#}. Promote another: regulars promote {other#} --version N": (
        "{model}：第 {n} 版之前没有冠军版本。请提升其他版本：regulars promote {other} --version N"
    ),
    "{model#} has no challenger; version {n#} is champion. Name another: regulars promote {other#} --version N": (
        "{model}没有挑战者，第 {n} 版是冠军。请指定其他版本：regulars promote {other} --version N"
    ),
    "{model#} has no version {n#} (there are: {others}). See them: regulars models": (
        "{model}没有第 {n} 版（现有：{others}）。查看：regulars models"
    ),
    "The registry did not answer within {n#} s. Try again.": "模型登记在 {n} 秒内没有回应，请重试。",
    "The registry gave no reason.": "模型登记没有给出原因。",
    # Notes of a version
    "{name#} is better on {metric#}: {theirs#}, ours {ours#}": (
        "{name}在 {metric} 上更好：{theirs}，我们的模型为 {ours}"
    ),
    "{name#} was not beaten on {metric#}: {ours#}, it has {theirs#}": (
        "在 {metric} 上未胜过{name}：{ours}，后者为 {theirs}"
    ),
    "only {n#} of the {all#} {what#} tested are on the rarer side, so every figure is uncertain: see its interval": (
        "测试的 {all} 个{what}中只有 {n} 个属于较少的一方，因此每个数字都不确定，请看区间"
    ),
    "Data: {level#}: {happened#} with and {not_happened#} without to learn from at {moments#} moments, {tested#} "
    "and {not_tested#} to test on, {history#} days of history for {days#} ahead": (
        "数据{level}：在 {moments} 个时点上学习，发生 {happened}、未发生 {not_happened}；测试 {tested} 与 {not_tested}"
        "；历史 {history} 天，预测 {days} 天"
    ),
    "Data: {told}": "数据{told}",
    "{level#}: {happened#} with and {not_happened#} without to learn from at {moments#} moments, {tested#} and "
    "{not_tested#} to test on, {history#} days of history for {days#} ahead": (
        "{level}：在 {moments} 个时点上学习，发生 {happened}、未发生 {not_happened}；测试 {tested} 与 {not_tested}；"
        "历史 {history} 天，预测 {days} 天"
    ),
    "{n#} customers to {purpose} on the rarer side of '{event}', at least {least#} are needed": (
        "“{event}”较少的一方只有 {n} 位客户可用于{purpose}，至少需要 {least} 位"
    ),
    "{n#} customers on the rarer side to learn from, fewer than the {wanted#} that even {variables#} variables "
    "want: expect no more than a simple rule gives": (
        "较少的一方只有 {n} 位客户可供学习，少于 {variables} 个变量所需的 {wanted} 位：效果不会好于简单规则"
    ),
    "the back-test has {n#} customers on the rarer side, so its AUC is known to about ±{margin#} only: small "
    "gains, and small losses, cannot be told from chance": (
        "回测中较少的一方只有 {n} 位客户，因此 AUC 只精确到约 ±{margin}：小幅变好或变差与偶然无法区分"
    ),
    "{n#} moments to learn from (up to {most#} are used): habits of few weeks stand for all": (
        "只有 {n} 个时点可供学习（最多使用 {most} 个）：几周的习惯代表全部"
    ),
    "{n#} days of history: no season was seen twice, so what it brings is not known": (
        "历史 {n} 天：没有任何季节出现过两次，因此季节的影响未知"
    ),
    "exclude '{pattern}' is the name of no feature, so nothing was left out by it": (
        "排除项“{pattern}”不是任何特征的名称，因此没有排除任何内容"
    ),
    "no order in {days#} days": "{days} 天内没有下单",
    "an order in {days#} days": "{days} 天内下单",
    "spend in {days#} days": "{days} 天内的消费",
    "frequency_{days#}_days": "{days} 天内的下单次数",
    # Drift
    "its scores have moved (PSI {n#})": "评分已漂移（PSI {n}）",
    "features that it goes by have moved: {features*}": "模型依据的特征已漂移：{features}",
    "what came true as of {day#} was {ratio#} times what was predicted (95% interval {low#} to {high#})": (
        "截至 {day}，实际为预测的 {ratio} 倍（95% 区间 {low} 至 {high}）"
    ),
    # What was asked wrongly
    "there is no '{value}'; there are: {known*}": "没有“{value}”，现有：{known}",
    "there is no reason '{value}'": "没有“{value}”这一原因",
    "Campaign '{id}' is recorded already, with another {fields}. Its list stands: ask for it by name, or give "
    "the new list another name.": (
        "活动 {id} 已记录，但 {fields} 不同。其名单保持不变：请按名称查看，或为新名单另取名称。"
    ),
    "margin is {value#}. Give profit per unit of spend, above 0 and at most 1.": (
        "毛利率为 {value}。请填写每单位消费的利润，大于 0 且不超过 1。"
    ),
    "holdout_share is {value#}. Give a share from 0 up to, not including, 1.": (
        "对照比例为 {value}。请填写 0 至 1（不含 1）的比例。"
    ),
    "{name#} is {value#}. Give 0 or more, or nothing for no limit.": (
        "{name} 为 {value}。请填写 0 或更大的数，或留空表示不限。"
    ),
    "{name#} is {value#}. Give a number of 0 or more.": "{name} 为 {value}。请填写 0 或更大的数。",
    "'{name#}' is not known for every customer. Leave out those it is not known for.": (
        "并非每位客户都有“{name}”。请排除没有的客户。"
    ),
    "Expected '{kind#}' {than#} {n#}": "应为{than} {n} 的{kind}",
    "Expected '{kind#}' of length {than#} {n#}": "应为长度{than} {n} 的{kind}",
    "Expected '{kind#}' matching regex {pattern*}": "应为符合 {pattern} 的{kind}",
    "Expected '{kind}', got '{other#}'": "应为{kind}，却是{other}",
    "Invalid enum value {value*}": "没有 {value} 这一选项",
    "Object missing required field '{name#}'": "缺少“{name}”",
    "ends with a line feed": "以换行结尾",
    "holds a zero character": "含有空字符",
    "The last good scores answer: {version#}": "由上次正常的评分作答：{version}",
    "{said*}. The last good scores answer: {version#}": "{said}。由上次正常的评分作答：{version}",
    "{file#}: missing or changed since it was written. Train or score again.": (
        "{file} 缺失或已被改动。请重新训练或评分。"
    ),
    "the scores are gone: scores/CURRENT is missing": "评分不见了：缺少 scores/CURRENT",
    "A recorded list needs a name.": "要记录名单，请为其命名。",
    "The plan names nobody, so there is nothing to record.": "计划中没有任何人，因此没有可记录的内容。",
    "The form cannot be read.": "无法读取表单。",
    # Forms that fit many a text, so they come last
    "{what} not known": "{what}未知",
    "{field#}: {what*}": "{field}：{what}",
}

#: Names that stand in those sentences, or alone, and what the pages of the console call them.
NAMES: Mapping[str, str] = {
    "enough": "充足",
    "limited": "有限",
    "too_few": "过少",
    "too few": "过少",
    "customers": "客户",
    "contacts": "联系",
    "learn from": "学习",
    "test on": "测试",
    "value_at_risk": "风险金额",
    "churn_probability": "流失概率",
    "expected_spend": "预计消费",
    "response_probability": "响应概率",
    "spend": "消费",
    "days_since_last_order": "距上次下单的天数",
    "request": "请求",
    "From the shop's own list": "来自店铺自己的列表",
    "float": "数字",
    "int": "整数",
    "str": "文本",
    "bool": "是或否",
    "<=": "不超过",
    ">=": "不小于",
    "<": "小于",
    ">": "大于",
    "AUC surely above": "AUC 的下限",
    "mean error of the probabilities": "概率的平均误差",
    "that error over the rarer outcome's rate": "该误差与较少结果的比率之比",
    "AUC over the best simple rule's": "AUC 超出最佳简单规则的幅度",
    "correlation surely above": "相关系数的下限",
    "error of the total, as a share": "总额误差占比",
    "mean error over the best simple guess's": "平均误差与最佳简单猜测之比",
    # The simple rules that models are measured against
    "recency_rank": "按最近下单排序",
    "cadence_ratio": "沉默时间与平常间隔之比",
    "rfm_logistic": "RFM 逻辑回归",
    "last_period_spend": "上一期消费",
    "mean_spend": "平均消费",
    "personal_top_frequency": "个人最常买",
    "global_top_frequency": "全店最常买",
    "gp_top_frequency": "个人与全店最常买",
    # Plots of a back-test
    "amounts": "金额",
    "bands": "分段",
    "dependence": "依赖关系",
    "fifths": "五分组",
    "gain": "增益曲线",
    "groups": "分组",
    "importance": "重要性",
    "level": "水平",
    "over_time": "随时间变化",
    "recall_by_k": "各 k 值的召回率",
    "reliability": "可靠性",
    "uplift": "增益",
    # What led a list of suggestions
    "personal": "个性化",
    "popular": "热销",
    "cart": "购物车",
    "session": "本次浏览",
    "similar": "相似商品",
    "bought_together": "一起购买",
    "own_history": "购买历史",
    "als": "协同过滤",
    "item_item": "商品关联",
    "next_order": "下一单",
    "similar_customers": "相近客户",
    "segment": "客户分群",
    "profile": "客户资料",
    "catalogue": "商品目录",
    "pinned": "店铺指定",
    "due": "到期复购",
    "category": "同品类",
    "trending": "热度上升",
    "new": "新品",
    "static": "固定列表",
    "none": "无",
}
