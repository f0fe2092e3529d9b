"""Build requests and read answers, without any I/O.

Source: the vendor's page "Update Order Status API": `PUT /engagement/orders/{order_id}/status`
with `{"status_id": "<uuid>"}`, answered by 200 or by 400 `Order (...) not found`.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from html import unescape
from typing import Any, Never, TypeVar
from urllib.parse import quote, urlsplit

from yarl import URL

from batch_updater.common.errors import SettingsError
from batch_updater.common.models import Answer, ListedOrder, OrderStatus, Verdict
from batch_updater.common.text import UUID_SHAPE, escape_controls, shortened

CONFIRMATION = "order status updated successfully"
MAX_DETAIL = 300  # characters of what a service says
MAX_TITLE = 100  # characters of the title of a web page
PAGE_LENGTH = 50  # the longest that the API allows
CHECK_ADDRESS = "check EVREKA360_BASE_URL: its host, its port, and whether a path such as /v1 is missing"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
NOT_LOOKED_AT = {425: "server_error", 429: "rate_limited", 503: "server_error"}  # but for a single 503
UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)  # from JSON that is not as expected
_REFUSED = {
    400: "validation_error", 403: "forbidden", 404: "wrong_address", 405: "wrong_address", 409: "conflict",
    412: "precondition_failed", 422: "validation_error",
}  # fmt: skip
T = TypeVar("T")


def check_base_url(url: str) -> str:
    """Return the service's base URL as requests use it, without a final slash but with its path prefix.

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
    if parts.scheme not in {"http", "https"} or not host or re.search(r"[\s%\\]", url) or not url.isprintable():
        raise SettingsError("The base URL must be an absolute https:// address.", "set EVREKA360_BASE_URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("The base URL must hold no credentials, query or fragment.", "use https://host/prefix")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise SettingsError(f"http:// to {host} would send the token in the clear.", "use https://")
    if any(piece in {".", ".."} for piece in parts.path.split("/")):
        raise SettingsError("The base URL's path must not contain '.' or '..'.", "use https://host/prefix")
    return found.rstrip("/")


def order_url(base_url: str, order_id: str) -> str:
    """Return the address of one order. Raises ValueError for anything but a canonical UUID."""
    if not UUID_SHAPE.fullmatch(order_id):
        raise ValueError("not a canonical order id")
    return f"{base_url}/engagement/orders/{order_id}"


def update_url(base_url: str, order_id: str) -> str:
    """Return the address of one order's status. Raises ValueError for anything but a canonical UUID."""
    return f"{order_url(base_url, order_id)}/status"


def update_body(status_id: str) -> bytes:
    """Return the JSON body that sets a status. Raises ValueError for anything but a canonical UUID."""
    if not UUID_SHAPE.fullmatch(status_id):
        raise ValueError("not a canonical status id")
    return b'{"status_id": "%s"}' % status_id.encode("ascii")


def detail_text(body: bytes) -> str:
    """Return the API's own reason as one line, escaped; empty when there is none. It may be long and hold secrets.

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
    return escape_controls(" ".join(detail.split()))


def _problem(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    place = ".".join(str(piece) for piece in where if piece != "body") if isinstance(where, list) else ""
    return f"{place}: {item.get('msg', '')}" if place else str(item.get("msg", ""))


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the seconds to wait by `Retry-After` (RFC 9110, 10.2.3), from 0; None when absent or unreadable.

    A date is read against the answer's own `Date`, so that a skewed clock does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text, re.ASCII):
        return float(text)
    until = _http_date(text)
    if until is None:
        return None
    start = _http_date(headers.get("Date", "")) or now or datetime.now(UTC)
    return max((until - start).total_seconds(), 0.0)


def _http_date(text: str) -> datetime | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def classify(
    status: int, headers: Mapping[str, str], body: bytes, confirmations: frozenset[str] = frozenset()
) -> Answer[Never]:
    """Return what an answer to a status update means for its row. Never raises.

    `confirmations` are wordings that mean yes, in small letters, besides the one that the API documents.
    """
    if 200 <= status < 300:
        return _classify_success(status, body, confirmations)
    detail, wait = detail_text(body) or _page_detail(status, body), retry_after(headers)
    if status == 401:
        return Answer(Verdict.UNAUTHORIZED, "unauthorized", detail or "the service did not accept the token", status)
    if 300 <= status < 400:
        return Answer(Verdict.STOP, "redirect", f"the service redirects{_target(headers)}; check the base URL", status)
    if code := NOT_LOOKED_AT.get(status):
        return Answer(Verdict.THROTTLED, code, detail or f"the service answered {status}", status, wait)
    if status == 408 or status >= 500:
        verdict = Verdict.THROTTLED if wait is not None else Verdict.RETRY
        code = "timeout" if status == 408 else "server_error"
        return Answer(verdict, code, detail or f"answered {status}", status, wait)
    if 400 <= status < 500:
        return _classify_refusal(status, detail, wait, is_page=is_page(body))
    return Answer(Verdict.UNKNOWN, "unexpected_response", detail or f"the service answered {status}", status)


def _target(headers: Mapping[str, str]) -> str:
    """Return where a redirect leads to, without query and fragment, which may hold somebody's secrets."""
    where = re.split(r"[?#]", headers.get("Location", "").strip(), maxsplit=1)[0]
    where = re.sub(r"//[^/@]*@", "//", where)
    return f" to {shortened(where, MAX_DETAIL // 2)}" if where else ""


@lru_cache(16)
def _classify_success(status: int, body: bytes, confirmations: frozenset[str]) -> Answer[Never]:
    """Return what a 2xx means; cached, for nearly all answers of a run are the same few bytes."""
    words = wording(body)
    if not words and is_page(body):
        return Answer(Verdict.UNKNOWN, "wrong_address", _page_detail(status, body), status)
    said = shortened(words, MAX_DETAIL).casefold()  # as it is shown, and may have been copied
    if (status == 200 and said == CONFIRMATION) or (status in {200, 201} and said in confirmations):
        return Answer(Verdict.DONE, "ok", words, status)
    detail = words or f"answered {status} without the API's confirmation"
    return Answer(Verdict.UNKNOWN, "unexpected_response", detail, status, wording=words)


def wording(body: bytes) -> str:
    """Return what an answer says as one line: its `detail`, else its text; "" for markup. It may hold secrets."""
    if detail := detail_text(body):
        return detail
    text = " ".join(body[:5000].decode("utf-8", "replace").split())
    return "" if text.startswith("<") or not text.isprintable() else text


def is_page(body: bytes) -> bool:
    """Return whether a body is a web page: the API answers in JSON, but a gateway or another server does not."""
    return body[:1000].lstrip().startswith(b"<")


def _page_detail(status: int, body: bytes) -> str:
    """Return what a person would see of a web page; empty for anything else. It may hold secrets."""
    if not is_page(body):
        return ""
    title = re.search(r"<title[^>]*>(.*?)</title", body[:5000].decode("utf-8", "replace"), re.DOTALL | re.IGNORECASE)
    words = escape_controls(" ".join(unescape(title[1]).split())) if title else ""
    return f"answered {status} with a web page" + (f", '{shortened(words, MAX_TITLE)}'" if words else "")


def _classify_refusal(status: int, detail: str, wait: float | None, *, is_page: bool) -> Answer[Never]:
    if status in {400, 404} and detail.endswith("not found"):  # the API's own words; a bare 404 is another address
        return Answer(Verdict.REFUSED, "order_not_found", detail, status)
    code = "wrong_address" if is_page and status != 403 else _REFUSED.get(status, "unexpected_response")
    verdict = Verdict.REFUSED if wait is None else Verdict.THROTTLED  # it asks to be asked later
    return Answer(verdict, code, detail or f"the service answered {status}", status, wait)


def parse_order(order_id: str, status: int, headers: Mapping[str, str], body: bytes) -> Answer[str]:
    """Return what an answer to `GET /engagement/orders/{order_id}` means; its payload is the order's status id.

    An answer that names another order, as from a confused proxy, says nothing about this one. Never raises.
    """
    if status != 200:
        return classify(status, headers, body)  # DONE is only for a 200
    try:
        order: Any = json.loads(body)
        found, named = order["status"]["id"], str(order.get("id")).lower()
    except UNREADABLE:
        found = named = None
    if not isinstance(found, str) or not UUID_SHAPE.fullmatch(found.lower()):
        return _unexpected("the answer holds no status")
    if named != order_id and UUID_SHAPE.fullmatch(named or ""):
        return _unexpected("the answer is about another order")
    return _done(found.lower())


def _unexpected(detail: str) -> Answer[Never]:
    return Answer(Verdict.UNKNOWN, "unexpected_response", detail, 200)


def _no_list(of_what: str, body: bytes) -> Answer[Never]:
    if page := _page_detail(200, body):
        return Answer(Verdict.UNKNOWN, "wrong_address", page, 200)
    return _unexpected(f"the answer is no list of {of_what}")


def _done(payload: T) -> Answer[T]:
    return Answer(Verdict.DONE, "ok", "", 200, payload=payload)


def parse_statuses(status: int, headers: Mapping[str, str], body: bytes) -> Answer[list[OrderStatus]]:
    """Return what an answer to `GET /engagement/orders/status` means; its payload is the list of statuses.

    Those with a bad id or without a name are left out. Never raises.
    """
    if status != 200:
        return classify(status, headers, body)
    try:
        found = [_order_status(item) for item in json.loads(body)["items"]]
    except UNREADABLE:
        return _no_list("statuses", body)
    return _done([item for item in found if item is not None])


def _order_status(item: Any) -> OrderStatus | None:
    status_id, name = str(item["id"]).lower(), item["name"]
    if not UUID_SHAPE.fullmatch(status_id) or not isinstance(name, str):
        return None
    return OrderStatus(status_id, name, str(item.get("color") or ""))


def orders_url(base_url: str, page: int, *, name: str | None = None) -> str:
    """Return the address of a page (from 1) of the order list, of 50 orders; of those whose name is exactly `name`."""
    wanted = "" if name is None else f"&name__exact={quote(name, safe='')}"
    return f"{base_url}/engagement/orders?page={page}&limit={PAGE_LENGTH}{wanted}"


def parse_orders(status: int, headers: Mapping[str, str], body: bytes) -> Answer[list[ListedOrder]]:
    """Return what an answer to `GET /engagement/orders` means; its payload is the page of orders.

    Orders without a usable id are left out. Never raises.
    """
    if status != 200:
        return classify(status, headers, body)
    try:
        found = [
            ListedOrder(str(item["id"]).lower(), str(item.get("name", "")), str(item.get("status_id", "")).lower())
            for item in json.loads(body)["items"]
        ]
    except UNREADABLE:
        return _no_list("orders", body)
    return _done([order for order in found if UUID_SHAPE.fullmatch(order.id)])
