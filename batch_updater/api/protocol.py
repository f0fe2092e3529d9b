"""Build requests and read answers, without any I/O.

Source: the vendor's page "Update Order Status API": `PUT /engagement/orders/{order_id}/status`
with `{"status_id": "<uuid>"}`, answered by 200 or by 400 `Order (...) not found`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from yarl import URL

from batch_updater.api.credentials import Granted
from batch_updater.common.errors import SettingsError
from batch_updater.common.models import Answer, ListedOrder, OrderStatus, Verdict
from batch_updater.common.secret import Secret
from batch_updater.common.text import shortened

UUID_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
CONFIRMATION = "order status updated successfully"
MAX_WAIT = 300.0
PAGE_LENGTH = 50  # the longest that the API allows
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
RETRIED_STATUSES = {408: "timeout", 425: "server_error"}
_REFUSED = {403: "forbidden", 404: "order_not_found", 409: "conflict", 412: "precondition_failed"}


def check_base_url(url: str) -> str:
    """The service's base URL as it goes over the wire, without a final slash; a path prefix stays.

    Raises SettingsError when it is no absolute URL, holds a query, a fragment or credentials,
    or is plain http to anything but this machine.
    """
    url = url.strip()
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
        found = str(URL(url))  # letters beyond ASCII are encoded, a port that goes without saying is left out
    except ValueError:
        raise SettingsError("The base URL can't be read.", "use https://host or https://host/prefix") from None
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or re.search(r"[\s%\\]", url.strip())
        or not url.strip().isprintable()
    ):
        raise SettingsError("The base URL must be an absolute https:// address.", "set EVREKA360_BASE_URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("The base URL must hold no credentials, query or fragment.", "use https://host/prefix")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise SettingsError(f"http:// to {host} would send the token in the clear.", "use https://")
    if any(piece in {".", ".."} for piece in parts.path.split("/")):
        raise SettingsError("The base URL's path must not contain '.' or '..'.", "use https://host/prefix")
    return found.rstrip("/")


def order_url(base_url: str, order_id: str) -> str:
    """The address of one order. Raises ValueError for anything but a canonical UUID."""
    if not UUID_SHAPE.fullmatch(order_id):
        raise ValueError("not a canonical order id")
    return f"{base_url}/engagement/orders/{order_id}"


def update_url(base_url: str, order_id: str) -> str:
    """The address of one order's status. Raises ValueError for anything but a canonical UUID."""
    return f"{order_url(base_url, order_id)}/status"


def update_body(status_id: str) -> bytes:
    """The JSON body that sets a status. Raises ValueError for anything but a canonical UUID."""
    if not UUID_SHAPE.fullmatch(status_id):
        raise ValueError("not a canonical status id")
    return b'{"status_id": "%s"}' % status_id.encode("ascii")


def detail_text(body: bytes) -> str:
    """The API's own reason, as one visible line of at most 300 characters; empty when it gave none.

    `detail` may be a string or FastAPI's list of `{"loc", "msg", "type"}`.
    """
    try:
        detail: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    detail = detail.get("detail") if isinstance(detail, dict) else None
    if isinstance(detail, list):
        detail = "; ".join(_problem(item) for item in detail[:5])
    if not isinstance(detail, str):
        return ""
    return shortened(" ".join(detail.split()), 300)


def _problem(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    place = ".".join(str(piece) for piece in where if piece != "body") if isinstance(where, list) else ""
    return f"{place}: {item.get('msg', '')}" if place else str(item.get("msg", ""))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait by `Retry-After` (RFC 9110, 10.2.3), 0 to 300; None when absent or unreadable.

    A date is read against the answer's own `Date`, so that a skewed clock does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text, re.ASCII):
        return min(float(text), MAX_WAIT)
    until = _http_date(text)
    if until is None:
        return None
    start = _http_date(headers.get("Date", "")) or now or datetime.now(UTC)
    return min(max((until - start).total_seconds(), 0.0), MAX_WAIT)


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """What an answer to the status update means for its row; never raises."""
    if status == 200:
        return _classify_success(body)
    said, wait = detail_text(body), retry_after(headers)
    if status == 401:
        return Answer(Verdict.UNAUTHORIZED, "unauthorized", said or "the service did not accept the token", status)
    if 300 <= status < 400:
        return Answer(Verdict.STOP, "redirect", "the service redirects; check the base URL", status)
    if status in {429, 503}:
        code = "rate_limited" if status == 429 else "server_error"
        return Answer(Verdict.THROTTLED, code, said or f"the service answered {status}", status, wait)
    if status in RETRIED_STATUSES or status >= 500:
        verdict = Verdict.THROTTLED if wait is not None else Verdict.RETRY
        return Answer(verdict, RETRIED_STATUSES.get(status, "server_error"), said or f"answered {status}", status, wait)
    if 400 <= status < 500:
        return _classify_refusal(status, said)
    return Answer(Verdict.UNKNOWN, "unexpected_response", said or f"the service answered {status}", status)


@lru_cache(16)
def _classify_success(body: bytes) -> Answer:
    """Nearly every answer of a run is the same few bytes, so each text is read once."""
    said = detail_text(body)
    if said.casefold() == CONFIRMATION:
        return Answer(Verdict.DONE, "ok", said, 200)
    return Answer(Verdict.UNKNOWN, "unexpected_response", said or "answered 200 without the API's confirmation", 200)


def _classify_refusal(status: int, said: str) -> Answer:
    if status == 400 and said.endswith("not found"):
        return Answer(Verdict.REFUSED, "order_not_found", said, status)
    code = _REFUSED.get(status, "validation_error" if status in {400, 422} else "unexpected_response")
    return Answer(Verdict.REFUSED, code, said or f"the service answered {status}", status)


def read_order(order_id: str, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """What an answer to `GET /engagement/orders/{order_id}` means; `status_id` is set when it is DONE. Never raises.

    An answer that names another order, as a confused proxy gives it, says nothing about this one.
    """
    if status != 200:
        return classify(status, headers, body)  # which says DONE to nothing but a 200
    try:
        order: Any = json.loads(body)
        found, about = order["status"]["id"], str(order.get("id")).lower()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        found = about = None
    if not isinstance(found, str) or not UUID_SHAPE.fullmatch(found.lower()):
        return Answer(Verdict.UNKNOWN, "unexpected_response", "the answer holds no status", 200)
    if about != order_id and UUID_SHAPE.fullmatch(about or ""):
        return Answer(Verdict.UNKNOWN, "unexpected_response", "the answer is about another order", 200)
    return Answer(Verdict.DONE, "ok", "", 200, status_id=found.lower())


def read_statuses(status: int, headers: Mapping[str, str], body: bytes) -> tuple[Answer, list[OrderStatus]]:
    """What an answer to `GET /engagement/orders/status` means; statuses with a bad id or no name are left out."""
    if status != 200:
        return classify(status, headers, body), []
    try:
        items: Any = json.loads(body)["items"]
        found = [_order_status(item) for item in items]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Answer(Verdict.UNKNOWN, "unexpected_response", "the answer is no list of statuses", 200), []
    return Answer(Verdict.DONE, "ok", "", 200), [item for item in found if item is not None]


def _order_status(item: Any) -> OrderStatus | None:
    status_id, name = str(item["id"]).lower(), item["name"]
    if not UUID_SHAPE.fullmatch(status_id) or not isinstance(name, str):
        return None
    return OrderStatus(status_id, name, str(item.get("color") or ""))


def orders_url(base_url: str, page: int, *, name: str | None = None) -> str:
    """The address of one page (from 1) of the order list, 50 orders long; of those called exactly `name`."""
    wanted = "" if name is None else f"&name__exact={quote(name, safe='')}"
    return f"{base_url}/engagement/orders?page={page}&limit={PAGE_LENGTH}{wanted}"


def read_orders(status: int, headers: Mapping[str, str], body: bytes) -> tuple[Answer, list[ListedOrder]]:
    """What an answer to `GET /engagement/orders` means; orders without a usable id are left out."""
    if status != 200:
        return classify(status, headers, body), []
    try:
        items: Any = json.loads(body)["items"]
        found = [
            ListedOrder(str(item["id"]).lower(), str(item.get("name", "")), str(item.get("status_id", "")).lower())
            for item in items
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Answer(Verdict.UNKNOWN, "unexpected_response", "the answer is no list of orders", 200), []
    return Answer(Verdict.DONE, "ok", "", 200), [order for order in found if UUID_SHAPE.fullmatch(order.id)]


def read_token(status: int, headers: Mapping[str, str], body: bytes) -> tuple[Answer, Granted | None]:
    """What an answer of the token endpoint means (RFC 6749, 5.1 and 5.2)."""
    if status != 200:
        answer = classify(status, headers, body)
        return replace(answer, detail=f"the token endpoint answered {status}"), None
    try:
        found: Any = json.loads(body)
        access, refresh, life = found["access_token"], found.get("refresh_token"), found.get("expires_in")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        access = refresh = life = None
    if not isinstance(access, str) or not access.isascii() or not access.isprintable():
        return Answer(Verdict.UNKNOWN, "unexpected_response", "the token endpoint gave no token", 200), None
    expires = float(life) if isinstance(life, int | float) and 0 < life < 1e9 else None
    kept = Secret(refresh) if isinstance(refresh, str) and refresh else None
    return Answer(Verdict.DONE, "ok", "", 200), Granted(Secret(access), kept, expires)
