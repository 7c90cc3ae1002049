"""The pages about models, products and the whole shop in Chinese; as in `serving.console.chinese`."""

from __future__ import annotations

from collections.abc import Mapping

OF_THE_SHOP: Mapping[str, str] = {
    # Models
    "answers now": "当前使用",
    "Asking the registry": "正在读取模型登记",
    "Alerts": "警报",
    "Came true over predicted": "实际与预测之比",
    "Drift": "漂移",
    "Looked at": "检查日期",
    "Moved most": "变化最大",
    "Nobody has looked yet.": "还没有检查过。",
    "nothing moved": "没有变化",
    "Scores moved (PSI)": "评分变化 (PSI)",
    "best simple rule": "最佳简单规则",
    "challenger": "挑战者",
    "champion": "冠军",
    "churn": "流失",
    "even if the gate refuses": "即使门槛检查不通过",
    "From": "原版本",
    "It takes some seconds the first time.": "首次读取需要几秒钟。",
    "Kept in the log, with your name.": "与您的姓名一起写入日志。",
    "Make the version before champion again": "恢复前一个冠军版本",
    "Make version {n} champion": "将第 {n} 版设为冠军",
    "Model": "模型",
    "No version yet.": "还没有版本。",
    "Nothing was ever promoted.": "还没有任何提升记录。",
    "Plots of the back-test of version {n}": "第 {n} 版的回测图",
    "Promote": "提升",
    "promoted": "已提升",
    "propensity": "购买倾向",
    "recommender": "推荐",
    "refused": "已拒绝",
    "Roll back": "回退",
    "rolled back": "已回退",
    "Runs, parameters and every artefact stand in MLflow. On the server's machine:": (
        "运行、参数和全部产物都在 MLflow 中。在服务器上执行："
    ),
    "Tested as of": "回测日期",
    "There is no such picture.": "没有这张图。",
    "To": "新版本",
    "Trained": "训练时间",
    "value": "价值",
    "Version": "版本",
    "version {n}": "第 {n} 版",
    "What": "操作",
    "What is served changes with the next scoring:": "下次评分后生效：",
    "When": "时间",
    "Who": "操作人",
    "Who changed what": "变更记录",
    "Why": "原因",
    "{model}: version {version} is champion": "{model}：第 {version} 版已成为冠军",
    # Products
    "(product id)": "（商品编号）",
    "(product ids)": "（商品编号）",
    "A preview is counted nowhere.": "预览不计入统计。",
    "also buys": "也买",
    "Bought again": "再次购买",
    "bought_together": "一起购买",
    "buy_again": "再次购买",
    "Buyers": "购买人数",
    "Cart": "购物车",
    "Category": "品类",
    "Confidence": "置信度",
    "Days between": "间隔天数",
    "led by": "来源",
    "Lift": "提升度",
    "Name a customer, a cart or a product, or choose a question.": "请填写客户、购物车或商品，或选择一个问题。",
    "new_arrivals": "新品",
    "next_purchase": "下次购买",
    "nobody known": "未知客户",
    "Nothing would be shown.": "不会显示任何商品。",
    "Only category": "仅限品类",
    "Orders with both": "同时购买的订单",
    "Placement": "展示位置",
    "Price": "价格",
    "Product page": "商品页",
    "Question": "问题",
    "Show": "显示",
    "similar": "相似商品",
    "Source": "来源",
    "The shop has set no rules.": "店铺没有设置规则。",
    "The shop's rules are applied.": "已应用店铺规则。",
    "This question is about one product: name it.": "此问题针对一种商品，请填写商品编号。",
    "trending": "热度上升",
    "What sells together": "一起购买的商品",
    "What the site would show now, and what sells with what.": "网站现在会显示什么，以及哪些商品一起购买。",
    "What would be shown": "将显示的商品",
    "Who buys": "购买",
    "Confidence: of the orders with the first, the share that hold the other.": (
        "置信度：含前者的订单中也含后者的比例。"
    ),
    "For whom each category sells": "各品类卖给谁",
    "100 is as often as among all customers; beyond chance where it stands bold.": (
        "100 表示与全部客户相同；粗体表示超出偶然。"
    ),
    "Lift: how many times as often as by chance.": "提升度：为偶然的多少倍。",
    "Pairs in the same orders, the strongest first.": "同一订单中的商品组合，最强的在前。",
    "Support": "支持度",
    "The products of most buyers: how many of them bought again, and after how many days.": (
        "买家最多的商品：有多少人再次购买，间隔多少天。"
    ),
    "What sells together stands here once the shop's picture is taken:": "生成店铺画像后，这里显示一起购买的商品：",
    # The shop
    "all together": "合计",
    "Apply": "应用",
    "As of {day}": "截至 {day}",
    "Behaviour": "行为",
    "Best customers": "最佳客户",
    "By a rule that you may change here to see what it would give; each over the last {n} days.": (
        "按规则划分，可在此修改并查看结果；均为最近 {n} 天。"
    ),
    "Campaigns": "活动",
    "Categories": "品类数",
    "Customers by score, 5 is best. Down: recency; across: frequency and value.": (
        "按得分统计客户，5 分最好。纵向：最近购买；横向：频率与金额。"
    ),
    "Customers by spend lately, those who spent most first, and what each tenth brings.": (
        "按近期消费从高到低将客户分为十份，以及每份带来的消费。"
    ),
    "Customers by state, every four weeks": "每四周各状态的客户数",
    "Customers ever": "全部客户",
    "Customers over time": "客户变化",
    "Customers who shop alike, each group named by what sets it apart.": "购物方式相近的客户，按各组特点命名。",
    "Days with an order": "下单天数",
    "Grade of the customer": "客户等级",
    "Grades of customers": "客户等级",
    "Group": "分组",
    "Half of customers have {half} or more; a tenth {tenth} or more.": "半数客户达到 {half}；十分之一达到 {tenth}。",
    "How many customers make each tenth of sales, the largest first. {n} brought nothing.": (
        "每十分之一销售额由多少客户贡献，从大到小。{n} 位客户没有贡献。"
    ),
    "In the shop's picture": "在店铺画像中",
    "It is taken from the orders and the scores, in a minute or two.": "由订单和评分生成，需要一两分钟。",
    "lately means the last {n} days": "近期指最近 {n} 天",
    "Lifetime value so far": "累计客户价值",
    "Month": "月份",
    "Movement": "变动",
    "No picture is taken yet": "还没有店铺画像",
    "Nobody is in this group now.": "目前没有客户属于此分组。",
    "of 5": "（满分 5）",
    "of customers": "客户占比",
    "of spend": "消费占比",
    "Predicted value": "预测价值",
    "Reach the categories": "达到品类数",
    "Reach the days": "达到天数",
    "Reach the spend": "达到消费额",
    "Recency by frequency and value": "最近购买与频率、金额",
    "Recency, frequency, value": "最近、频率、金额",
    "responded": "响应",
    "Retention by month of the first order": "按首单月份的留存率",
    "Segment": "客户分群",
    "Segments": "客户分群",
    "Share": "占比",
    "Shop": "店铺",
    "So far": "累计",
    "Spend": "消费额",
    "Spend lately": "近期消费",
    "Spend of at least": "消费额不低于",
    "Tag": "标签",
    "Tags": "标签",
    "Tenth": "十分位",
    "Tenth of customers": "客户十分位",
    "Tenths of customers": "客户十等分",
    "Tenths of sales": "销售十等分",
    "The shop": "店铺概览",
    "Their share of spend": "消费占比",
    "then, down; now, across": "纵向：之前；横向：现在",
    "There is no whole month yet.": "还没有完整的月份。",
    "Usual store": "常去门店",
    "Value so far": "累计价值",
    "Who bought what, when and where is read from the orders.": "谁在何时何地买了什么，从订单中读取。",
    "Who its customers are, how they come and go.": "客户是谁，如何来去。",
    "Who moved where since {day}": "自 {day} 以来的变动",
    "Worth much: {value} lately or more. Loyal: orders in {share} of the periods known.": (
        "高价值：近期达到 {value}。忠诚：在 {share} 的周期内有订单。"
    ),
    "{n} customers": "{n} 位客户",
    # Selling
    "Selling": "销售",
    "What else to sell and to whom, where it sells, and what campaigns brought.": (
        "还能卖什么、卖给谁、在哪里卖，以及活动带来了什么。"
    ),
    "What is sold across, where, and what campaigns brought": "交叉销售、渠道与门店，以及活动成果",
    "What to offer next": "下一步推荐什么",
    "The pairs that go together most. Follow a number to those who buy the first and not yet the other.": (
        "最常同时购买的品类组合。点击数字查看购买前者但还没有购买后者的客户。"
    ),
    "Not yet": "尚未购买",
    "Nobody buys one category without the other.": "没有客户只买其中一个品类。",
    "The products have no categories to sell across.": "商品没有品类，无法分析交叉销售。",
    "Who moves to dearer products": "谁转向更贵的商品",
    "Customers by the price tier of what they bought in a category: down, in the first half of the time; across, "
    "in the second.": ("按客户在品类中所购商品的价位统计：纵向为前半段时间，横向为后半段时间。"),
    "By category": "按品类",
    "went up": "上升",
    "went down": "下降",
    "Tiers of price need amounts and categories, which the shop's orders do not tell.": (
        "价位需要金额和品类，而店铺的订单中没有。"
    ),
    "Stores": "门店",
    "Channels": "渠道",
    "Channels and stores": "渠道与门店",
    "{measure} by place": "各处的{measure}",
    "Where each segment spends": "各分群在哪里消费",
    "The orders name neither a channel nor a store.": "订单中既没有渠道也没有门店。",
    "Buyers among those contacted over those held out, with its 95% interval.": (
        "被联系者与对照组的购买率之差，及其 95% 区间。"
    ),
    "Share of those contacted who responded, with its 95% interval. Nobody was held out, so what they would have "
    "bought anyway is not known.": ("被联系者中响应的比例，及其 95% 区间。没有对照组，因此不知道他们原本会买多少。"),
    "What came of each campaign, the oldest first": "各活动的成果，从早到晚",
    "Began": "开始日期",
    "bought": "购买率",
    "of those held out": "对照组购买率",
    "Lift over the hold-out": "相对对照组的提升",
    "Spend more by": "多消费",
    "Mean spend": "人均消费",
    "Profit": "利润",
    "{n} customers, not measured yet": "{n} 位客户，尚未测量",
    "Profit needs a hold-out, a margin and a cost:": "计算利润需要对照组、毛利率和成本：",
    "No campaign is known: the shop's data hold no contacts.": "没有活动：店铺数据中没有联系记录。",
    "Who buys one category, buys which other": "购买一个品类的客户还买哪些品类",
    "Of the customers who buy the category at the left, the share who also buy the one above.": (
        "购买左侧品类的客户中，也购买上方品类的比例。"
    ),
    "That share over the share of all customers who buy the one above: 1 is as often as anybody.": (
        "该比例与全部客户购买上方品类的比例之比：1 表示与任何人相同。"
    ),
    "Customers of the category at the left who do not buy the one above yet.": (
        "购买左侧品类但还没有购买上方品类的客户数。"
    ),
    "and {name}": "且{name}",
    "without {name}": "未购{name}",
    # The cube
    "Across": "横向",
    "Cube": "数据立方",
    "Down": "纵向",
    "Measure": "指标",
    "Of orders of the last {n} days.": "最近 {n} 天的订单。",
    "The {n} with most of {all} are shown.": "仅显示 {all} 项中最多的 {n} 项。",
    "Who buys what, when and where: choose two dimensions and a measure, and follow a place to its customers.": (
        "谁在何时何地买了什么：选择两个维度和一个指标，点击查看对应的客户。"
    ),
}
