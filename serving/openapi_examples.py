"""An example of each request, answer and error, as the description shows them. Tests decode each by its type."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

_REQUEST_ID = "9f2c41b0c5d94a7e8a33d1f06a1be7c2~personal~3~home-order~control~home"
_ITEM = {
    "rank": 1,
    "product_id": "916122",
    "name": "CHICKEN BREAST BONELESS",
    "score": 3.91,
    "source": "own_history",
    "reason": "You buy this about every 12 days; last 14 days ago",
    "category": "CHICKEN",
    "price": 6.99,
    "grounds": {"orders": 5, "every_days": 12.0, "days_ago": 14, "due_on": "2024-05-29"},
}
_ANSWER = {
    "items": [_ITEM],
    "strategy": "personal",
    "fallback": None,
    "model": "recommender",
    "model_version": 3,
    "as_of": "2024-06-01T00:00:00+00:00",
    "request_id": _REQUEST_ID,
    "customer_id": "1",
    "placement": "home",
    "experiment": "home-order",
    "variant": "control",
}
_GRADE = {
    "grade": "good",
    "why": "AUC surely above 0.741; mean error of the probabilities 0.021; that error over the rarer outcome's rate "
    "0.190; AUC over the best simple rule's 0.014. Decided by AUC surely above",
}
_SCORED = {
    "customer_id": "1",
    "churn_probability": 0.42,
    "value_at_risk": 58.2,
    "expected_spend": 80.1,
    "purchase_probability": 0.58,
    "stage": "slipping",
    "days_since_last_order": 19,
    "last_order_at": "2024-05-13T16:04:00+00:00",
    "orders": 86,
    "spend": 4330.16,
    "reasons": ["orders every 6 days, silent for 19 days"],
    "last_outcome": None,
    "last_outcome_at": None,
    "expected_back_by": "2024-05-24",
    "days_overdue": 8,
    "next_order_expected": "2024-06-12",
    "next_order_from": "2024-06-02",
    "next_order_until": "2024-07-19",
    "expected_spend_low": 0.0,
    "expected_spend_high": 140.6,
    "lifetime_value": 610.4,
    "lifetime_value_low": 122.1,
    "lifetime_value_high": 1098.7,
    "response_probability": 0.14,
}
_PLAN_REQUEST = {
    "campaign_id": "june-calls",
    "cost_per_contact": 2.0,
    "margin": 0.3,
    "budget": 200.0,
    "holdout_share": 0.2,
}
_CUT = {
    "contacts": 40,
    "cost": 80.0,
    "profit": 21.6,
    "churners": 18.4,
    "false_alarms": 21.6,
    "saved": 1.84,
    "caught_share": 0.31,
    "precision": 0.46,
}
_PLAN = {
    "campaign_id": "june-calls",
    "recorded": True,
    "planned_at": "2024-06-01T08:00:00+00:00",
    "strategy": "save_rate",
    "fallback": None,
    "items": [
        {
            "rank": 1,
            "customer_id": "1",
            "expected_profit": 1.21,
            "churn_probability": 0.42,
            "kept_probability": 0.042,
            "worth": 254.9,
            "days_since_last_order": 19,
            "reasons": ["orders every 6 days, silent for 19 days"],
        }
    ],
    "held_out": ["7"],
    "summary": {
        "candidates": 1480,
        "contacts": 40,
        "held_out": 9,
        "expected_profit": 21.6,
        "expected_profit_low": None,
        "expected_profit_high": None,
        "expected_cost": 80.0,
        "expected_saved": 1.84,
        "best_contacts": 40,
        "break_even_contacts": 71,
        "break_even_save_rate": 0.079,
        "holdout_cost": 5.1,
        "smallest_effect": 0.51,
        "save_rate": 0.1,
        "save_rate_source": "assumed",
    },
    "assumptions": ["A contact costs 2.00 USD.", "Margin is 30.0% of spend."],
    "left_out": {"contacted_lately": 12, "opted_out": 3},
    "curve": [_CUT],
    "table": [_CUT],
    "model": "churn",
    "model_version": 2,
    "as_of": "2024-06-01T00:00:00+00:00",
    "horizon_days": 28,
    "currency": "USD",
}
_EVENT = {
    "event_id": "e-1001",
    "product_id": "916122",
    "kind": "click",
    "occurred_at": "2024-06-01T10:15:00Z",
    "customer_id": "1",
    "request_id": _REQUEST_ID,
}
_OUTCOME = {
    "outcome_id": "call-17",
    "customer_id": "1",
    "outcome": "saved",
    "occurred_at": "2024-06-02T09:00:00Z",
    "channel": "phone",
}
_FEEDBACK = {
    "since": "2024-05-02T00:00:00+00:00",
    "rows": [
        {
            "placement": "home",
            "strategy": "personal",
            "model_version": "3",
            "variant": "control",
            "impressions": 1200,
            "clicks": 96,
            "purchases": 30,
            "click_rate": 0.08,
            "conversion": 0.025,
            "products": 310,
            "coverage": 0.0046,
        }
    ],
    "experiments": [
        {
            "experiment": "home-order",
            "metric": "click",
            "variants": [
                {"variant": "control", "units": 400, "successes": 60, "rate": 0.15},
                {
                    "variant": "own-first",
                    "units": 410,
                    "successes": 72,
                    "rate": 0.1756,
                    "difference": 0.0256,
                    "low": -0.072,
                    "high": 0.123,
                    "p_value": 1.0,
                },
            ],
        }
    ],
}
OF: dict[str, Any] = {
    "RecommendationRequest": {"customer_id": "1", "placement": "home", "k": 5, "filters": {"category": "CHEESE"}},
    "Recommendations": _ANSWER,
    "BatchRequest": {"customer_ids": ["1", "2"], "placement": "newsletter", "k": 4},
    "Batch": {"answers": [_ANSWER]},
    "PageRequest": {"customer_id": "1", "placements": [{"placement": "home", "k": 8}, {"placement": "footer", "k": 4}]},
    "Event": _EVENT,
    "EventBatch": {"events": [_EVENT]},
    "EventsAnswer": {"accepted": 1, "duplicates": 0, "dry_run": False},
    "IdentifyRequest": {"customer_id": "1"},
    "IdentifyAnswer": {"session_id": "s-77", "customer_id": "1"},
    "Outcome": _OUTCOME,
    "OutcomeBatch": {"outcomes": [_OUTCOME]},
    "OutcomesAnswer": {"accepted": 1, "duplicates": 0},
    "Stocked": {"product_id": "916122", "in_stock": False},
    "StockBatch": {"products": [{"product_id": "916122", "in_stock": False}]},
    "StockAnswer": {"changed": 1, "unchanged": 0, "unknown": []},
    "FeedbackPage": _FEEDBACK,
    "ContactPlanRequest": _PLAN_REQUEST,
    "ContactPlanPage": _PLAN,
    "CampaignPage": {
        "campaign_id": "june-calls",
        "recorded": True,
        "plan": _PLAN,
        "outcomes": {"reached": 21, "saved": 4},
        "held_out_contacted": 0,
        "effect": {
            "contacted": 40,
            "contacted_kept": 24,
            "held_out": 9,
            "held_out_kept": 4,
            "difference": 0.1556,
            "low": -0.1718,
            "high": 0.4454,
            "save_rate": 0.28,
            "save_rate_low": -0.4453,
            "save_rate_high": 0.6413,
            "verdict": "too few to say: a hold-out of 30 is needed, 5 of whom stopped",
            "as_of": "2024-07-01T00:00:00+00:00",
        },
        "effect_note": "too few to say: a hold-out of 30 is needed, 5 of whom stopped",
    },
    "AudienceRequest": {"category": "CHEESE", "days": 14, "limit": 2},
    "AudiencePage": {
        "items": [
            {
                "customer_id": "1",
                "probability": 0.61,
                "times_bought": 12,
                "orders": 86,
                "days_since_bought": 9,
                "reason": "bought it 12 times in 86 orders, last 9 days ago",
            }
        ],
        "total": 2469,
        "days": 14.0,
        "strategy": "own_share",
        "fallback": None,
        "model": "propensity",
        "model_version": 1,
        "as_of": "2024-06-01T00:00:00+00:00",
        "grade": _GRADE,
    },
    "AtRiskPage": {
        "items": [_SCORED],
        "total": 212,
        "limit": 1,
        "offset": 0,
        "sorted_by": "value_at_risk",
        "strategy": "churn",
        "fallback": None,
        "model": "churn",
        "model_version": 2,
        "as_of": "2024-06-01T00:00:00+00:00",
        "horizon_days": 28,
        "grade": _GRADE,
    },
    "CustomerPage": {
        "customer_id": "1",
        "known": True,
        "active": True,
        "scores": _SCORED,
        "next_purchases": _ANSWER,
        "models": {"recommender": 3, "churn": 2, "propensity": 1, "value": 1},
        "as_of": "2024-06-01T00:00:00+00:00",
        "horizon_days": 28,
        "currency": "USD",
        "online": {
            "features": {"days_since_last_order": 9.0, "orders_90d": 11.0, "views_1h": 3.0, "carts_1h": None},
            "age_hours": {"customer_online": 7.5, "customer_live": 0.1},
            "problem": None,
        },
        "grades": {"churn": _GRADE},
    },
    "ModelsPage": {
        "models": {"recommender": 3, "churn": 2, "propensity": 1, "value": 1},
        "scores_version": "3f0c9d2a51b7e846",
        "as_of": "2024-06-01T00:00:00+00:00",
        "created_at": "2024-06-01T02:10:00+00:00",
        "lake_version": "a91be20f6c1d7784",
        "customers": 2469,
        "products": 68509,
        "problem": None,
        "pinned": None,
        "grades": {"churn": _GRADE},
    },
    "Health": {"status": "ok", "scores_version": "3f0c9d2a51b7e846"},
    "Readiness": {
        "status": "degraded",
        "scores_version": "3f0c9d2a51b7e846",
        "problems": {"events": "the disk of the event store is full"},
    },
}
CSV = "customer_id,churn_probability,value_at_risk,prediction_grade\r\n1,0.42,58.2,good\r\n"
_DETAILS = {
    400: ("", "The body is not JSON: Input data was truncated."),
    401: ("", "A key is needed: Authorization: Bearer KEY, or X-API-Key: KEY."),
    403: ("", "A key of scope 'site' may not ask this; needed: admin, retention."),
    409: ("campaign_id", "Campaign 'june-calls' is recorded already, with another budget."),
    413: ("", "The body is larger than 262144 bytes."),
    415: ("", "The body must be application/json."),
    422: ("k", "Expected `int` >= 1"),
    429: ("", "The key asks more than 6000 times a minute. Wait 2 s."),
    503: ("", "Not kept: the disk of the event store is full. Send it again later."),
}
_FIELDS = {
    "/v1/events": ("events[3].kind", "Invalid enum value 'seen'"),
    "/v1/audiences": ("product_id", "name exactly one of product_id, category, department, brand"),
    "/v1/contact-plans": ("margin", "Expected `float` <= 1.0"),
    "/v1/contact-plans/{campaign_id}": ("campaign_id", "longer than 200 characters"),
    "/v1/stock": ("products[0].in_stock", "Expected `bool | null`, got `str`"),
    "/v1/outcomes": ("outcome", "Invalid enum value 'called'"),
    "/v1/customers/{customer_id}": ("customer_id", "longer than 200 characters"),
    "/v1/models": ("nonsense", "Object contains unknown field 'nonsense'"),
    "/v1/sessions/{session_id}/customer": ("customer_id", "Expected `str` of length >= 1"),
    "/v1/customers/at-risk": ("stage", "Invalid enum value 'angry'"),
    "/v1/customers/at-risk/export": ("sort", "Invalid enum value 'name'"),
    "/v1/feedback": ("days", "Expected `float` > 0.0"),
}


def problem(status: int, path: str) -> dict[str, Any]:
    """A problem of that status at that route."""
    field, detail = _FIELDS.get(path, _DETAILS[422]) if status == 422 else _DETAILS[status]
    return {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": f"{field}: {detail}" if field else detail,
        "errors": [{"field": field, "detail": detail}] if field else [],
        "type": "about:blank",
    }
